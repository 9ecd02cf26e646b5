// What the tests stand on: the real app, a database of its own, a LiveKit of its own, users with real tokens.
import { createHash, createHmac, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify, { type FastifyInstance, type InjectOptions, type LightMyRequestResponse } from 'fastify'
import { AccessToken, RoomServiceClient } from 'livekit-server-sdk'
import pg from 'pg'
import type { Test } from 'tap'
import { startAnyLiveKit, type AnyLiveKit } from '../dev/livekit/any-livekit.ts'
import { freeTcpPort, type LiveKitOptions } from '../dev/livekit/livekit.ts'
import { disposeParticipants } from '../dev/livekit/participant.ts'
import { startPostgres } from '../dev/postgres.ts'
import configPlugin, { type Config } from '../plugins/config.ts'
import { buildApp } from '../src/app.ts'
import type { Clock } from '../src/sessions/clock.ts'
import { createModes } from '../src/sessions/modes.ts'

export const jwtSecret = 'b8d1e0f2c4a697857463524130ffeedd'

/** A user's token as the app's own sign-in would give it; claims that are given replace the usual ones. */
export function userToken (sub: string, claims: Record<string, unknown> = {}): string {
  const now = Math.floor(Date.now() / 1000)
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
  const signed = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ sub, email: `${sub}@example.com`, iat: now, exp: now + 3600, ...claims })}`
  return `${signed}.${createHmac('sha256', jwtSecret).update(signed).digest('base64url')}`
}

/** The configuration that an environment makes. @throws as the boot does */
export async function configOf (environment: NodeJS.ProcessEnv): Promise<Config> {
  const app = Fastify()
  await app.register(configPlugin, { environment })
  return app.config
}

/** What a JWT says, unverified. */
export function claimsOf (token: string): Record<string, any> {
  return JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString())
}

/** A clock that stands until it is moved; deadlines go on. */
export function movableClock (start = Date.now()) {
  let time = start
  return { now: () => time, elapsed: () => performance.now(), sleep, advance: (ms: number) => { time += ms } }
}

/** Both modes with their defaults. */
export const modes = createModes({
  voice: { agentName: 'voice-agent', tokenTtl: 21_600, maxDuration: 21_600 },
  video: { agentName: 'avatar-agent', tokenTtl: 86_400, maxDuration: 86_400 },
  agentWait: 7
})

/** A LiveKit for one test file, stopped after it. */
export async function livekitFor (t: Test, options: LiveKitOptions & { agents?: string[] } = {}): Promise<AnyLiveKit> {
  const server = await startAnyLiveKit(options)
  t.teardown(() => {
    disposeParticipants() // they would try for half a minute to reconnect to a server that is gone
    return server.stop()
  })
  return server
}

/** An empty database, dropped after the test: on TEST_DATABASE_URL's server, or on one of this file's own. */
export async function databaseFor (t: Test): Promise<string> {
  let server = process.env.TEST_DATABASE_URL
  if (!server) {
    const postgres = await startPostgres()
    t.teardown(() => postgres.stop())
    server = postgres.url
  }
  const name = `test_${randomBytes(8).toString('hex')}`
  const admin = new pg.Client({ connectionString: server })
  admin.on('error', () => {}) // the server may be stopped under it
  await admin.connect()
  await admin.query(`create database ${name}`)
  await admin.query(`alter database ${name} set synchronous_commit = off`) // nobody pulls the plug here, and it saves a third of the run
  t.teardown(async () => {
    await admin.query(`drop database ${name} with (force)`)
    await admin.end()
  })
  const url = new URL(server)
  url.pathname = `/${name}`
  return url.href
}

/** The environment of a test: limits off, the given LiveKit and database. */
export function environment (livekit: Pick<AnyLiveKit, 'url' | 'apiKey' | 'apiSecret'>, databaseUrl: string, env: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  return {
    LIVEKIT_URL: livekit.url,
    LIVEKIT_API_KEY: livekit.apiKey,
    LIVEKIT_API_SECRET: livekit.apiSecret,
    JWT_SECRET: jwtSecret,
    DATABASE_URL: databaseUrl,
    PORT: '0',
    LOG_LEVEL: 'debug',
    RATE_LIMIT_PER_MINUTE: '0',
    START_LIMIT_PER_MINUTE: '0',
    ...env
  }
}

export interface TestApp extends FastifyInstance {
  /** Everything logged so far, parsed. */
  logs: Array<Record<string, any>>
  /** Calls as a signed-in user. */
  as: (user: string, claims?: Record<string, unknown>) => Caller
}

export interface Caller {
  start: (body?: object, headers?: Record<string, string>) => Promise<LightMyRequestResponse>
  status: (roomName: string) => Promise<LightMyRequestResponse>
  end: (roomName: string) => Promise<LightMyRequestResponse>
  active: () => Promise<LightMyRequestResponse>
  inject: (options: InjectOptions) => Promise<LightMyRequestResponse>
}

/** The real app, as production assembles it, closed after the test. */
export async function appFor (t: Test, environment: NodeJS.ProcessEnv, clock?: Clock): Promise<TestApp> {
  const logs: TestApp['logs'] = []
  const app = await buildApp({ environment, clock, logStream: { write: (line) => { logs.push(JSON.parse(line)) } } })
  t.teardown(() => app.close())
  const as = (user: string, claims?: Record<string, unknown>): Caller => {
    const authorization = `Bearer ${userToken(user, claims)}`
    const inject = (options: InjectOptions) => app.inject({ ...options, headers: { authorization, ...options.headers } })
    const base = '/api/v1/voice-sessions'
    return {
      inject,
      start: (body, headers = {}) => inject({ method: 'POST', url: `${base}/start`, headers, ...(body && { payload: body }) }),
      status: (roomName) => inject({ url: `${base}/${roomName}/status` }),
      end: (roomName) => inject({ method: 'DELETE', url: `${base}/${roomName}` }),
      active: () => inject({ url: `${base}/active` })
    }
  }
  return Object.assign(app, { logs, as }) as unknown as TestApp
}

/** One connection to the database of a test, to look at the state left behind. */
export async function queryFor (t: Test, url: string) {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {}) // the database is dropped under it
  await client.connect()
  t.teardown(() => client.end())
  return async <Row extends object = any>(text: string, values: unknown[] = []) => (await client.query(text, values)).rows as Row[]
}

/** Waits until `look` answers something true; fails with its last answer after `limit` ms. */
export async function eventually<T> (look: () => Promise<T> | T, limit = 5000): Promise<T> {
  const end = Date.now() + limit
  for (;;) {
    const seen = await look()
    if (seen) return seen
    if (Date.now() > end) throw new Error(`still ${JSON.stringify(seen)} after ${limit} ms`)
    await new Promise((resolve) => { setTimeout(resolve, 25) })
  }
}

export const problem = (status: number, title: string, code: string, detail: string) => ({ type: `urn:livekit-sessions:problem:${code}`, title, status, detail })
export const notFound = problem(404, 'Not Found', 'session-not-found', 'Session not found')
export const notYours = problem(403, 'Forbidden', 'not-your-session', 'Not your session')
export const unauthorized = problem(401, 'Unauthorized', 'unauthorized', 'A valid bearer token is required.')
export const failed = problem(500, 'Internal Server Error', 'internal-server-error', 'Something went wrong on our side. Try again.')
export const unavailable = problem(503, 'Service Unavailable', 'service-unavailable', 'The service is not available right now. Try again later.')

/** Checks a whole problem document, but for the id of its request, which has to be that of the response. */
export function sameProblem (t: Test, response: LightMyRequestResponse, expected: Record<string, unknown>) {
  const { instance, ...rest } = response.json()
  t.equal(response.statusCode, expected.status)
  t.equal(response.headers['content-type'], 'application/problem+json')
  t.equal(instance, `urn:livekit-sessions:request:${response.headers['x-request-id']}`)
  t.same(rest, expected)
}

/** A webhook as LiveKit signs and sends it. Fields of `event` are protobuf JSON: camelCase, defaults left out. */
export async function webhookOf ({ apiKey, apiSecret }: { apiKey: string, apiSecret: string }, event: object) {
  const payload = JSON.stringify(event)
  const token = new AccessToken(apiKey, apiSecret, { ttl: 300 })
  token.sha256 = createHash('sha256').update(payload).digest('base64')
  return {
    method: 'POST' as const,
    url: '/api/v1/livekit/webhook',
    payload,
    headers: { 'content-type': 'application/webhook+json', authorization: await token.toJwt() }
  }
}

/** The whole neighbourhood: a LiveKit that sends its webhooks to a listening app on a database of its own. */
export async function listening (t: Test, env: NodeJS.ProcessEnv = {}, options: LiveKitOptions & { webhooks?: boolean } = {}) {
  const port = await freeTcpPort()
  const { webhooks = true, ...rest } = options
  const livekit = await livekitFor(t, { ...rest, ...(webhooks && { webhookUrl: `http://127.0.0.1:${port}/api/v1/livekit/webhook` }) })
  const databaseUrl = await databaseFor(t)
  const app = await appFor(t, environment(livekit, databaseUrl, env))
  await app.listen({ host: '127.0.0.1', port })
  return { livekit, app, query: await queryFor(t, databaseUrl), address: `http://127.0.0.1:${port}`, rooms: new RoomServiceClient(livekit.url, livekit.apiKey, livekit.apiSecret) }
}
