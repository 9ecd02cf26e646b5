// The HTTP edge alone: a Fastify with the plugins that every request passes, and a few toy routes to reach.
import { createHmac, sign, type KeyObject } from 'node:crypto'
import net, { BlockList } from 'node:net'
import Fastify, { type FastifyInstance, type LightMyRequestResponse } from 'fastify'
import { Type } from '@sinclair/typebox'
import type { Test } from 'tap'
import auth from '../plugins/auth/index.ts'
import config, { type Config } from '../plugins/config.ts'
import cors from '../plugins/cors.ts'
import errors from '../plugins/http/errors.ts'
import http, { serverOptions } from '../plugins/http/index.ts'
import limits from '../plugins/limits/index.ts'
import metrics from '../plugins/metrics.ts'

export const jwtSecret = 'f3a91c07d5e84b62a0f7c9d1e5b38a46c2d4e6f8'
export const livekitSecret = '9b7e2d4c6a8f1035c7e9d2b4a6f80c1e3d5b7a90'

export const env = {
  LIVEKIT_URL: 'ws://127.0.0.1:7880',
  LIVEKIT_API_KEY: 'APIedge',
  LIVEKIT_API_SECRET: livekitSecret,
  JWT_SECRET: jwtSecret,
  LOG_LEVEL: 'trace'
}

export interface Line { level: number, msg: string, reqId?: string, [field: string]: unknown }

export interface Edge {
  app: FastifyInstance
  /** All that was logged so far. */
  lines: Line[]
  config: Config
}

/**
 * Builds the edge with the options of production and closes it after the test.
 * @param extra variables beside the ones above; `undefined` takes one away
 * @param routes adds routes before the app is ready
 */
export async function buildEdge (t: Test, extra: Record<string, string | undefined> = {}, routes: (app: FastifyInstance) => void | Promise<void> = () => {}): Promise<Edge> {
  const lines: Line[] = []
  const proxies = new BlockList()
  const app = Fastify(serverOptions(proxies, { write: (line: string) => { lines.push(JSON.parse(line)) } }))
  t.teardown(() => app.close())

  await app.register(config, { environment: { ...env, ...extra } })
  await app.register(metrics)
  await app.register(limits)
  await app.register(errors)
  await app.register(http, { proxies })
  await app.register(cors)
  await app.register(auth)
  await app.register(async (app) => {
    app.addHook('onRequest', app.authenticate)
    app.get('/me', { schema: { operationId: 'getMe' } as object }, async (request) => request.user)
    app.get('/rooms/:room_name', async (request) => request.params)
    app.delete('/rooms/:room_name', { schema: { operationId: 'endRoom' } as object }, async (request) => request.params)
  })
  app.post('/echo', { schema: { operationId: 'echo' } as object }, async (request) => ({ body: request.body ?? null }))
  app.post('/strict', { schema: { body: StrictBody, querystring: Type.Object({ page: Type.Optional(Type.String({ pattern: '^\\d{1,3}$' })) }, { additionalProperties: false }) } }, async (request) => request.body)
  app.get('/deadline', async (request) => ({ left: request.deadline - performance.now() }))
  await routes(app)
  await app.ready()
  return { app, lines, config: app.config }
}

/** The same, listening on a free port of 127.0.0.1. */
export async function listenEdge (...args: Parameters<typeof buildEdge>): Promise<Edge> {
  const edge = await buildEdge(...args)
  await edge.app.listen({ host: '127.0.0.1', port: 0 })
  edge.lines.length = 0
  return edge
}

const StrictBody = Type.Object({
  agent_type: Type.Union([Type.Literal('workout'), Type.Literal('general')], { default: 'general' }),
  count: Type.Optional(Type.Integer()),
  loud: Type.Optional(Type.Boolean())
}, { additionalProperties: false })

/** Seconds since the epoch. */
export const now = () => Math.floor(Date.now() / 1000)

/** Claims of a user that every rule accepts. */
export const claims = (more: Record<string, unknown> = {}): Record<string, unknown> => ({ sub: 'user-1', email: 'mia@example.com', iat: now(), exp: now() + 3600, ...more })

const part = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

/** A token made by hand, so that it can be wrong in any way. */
export function hs256 (payload: unknown, header: unknown = { alg: 'HS256', typ: 'JWT' }, secret = jwtSecret): string {
  const input = `${part(header)}.${part(payload)}`
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}

/** The same, signed with a private key in the way that `alg` asks for. */
export function signed (payload: unknown, header: { alg: string, [field: string]: unknown }, key: KeyObject): string {
  const input = `${part(header)}.${part(payload)}`
  const padding = header.alg.startsWith('PS') ? { padding: 6, saltLength: 32 } : {}
  const encoding = header.alg.startsWith('ES') ? { dsaEncoding: 'ieee-p1363' as const } : {}
  return `${input}.${sign(header.alg === 'EdDSA' ? null : 'sha256', Buffer.from(input), { key, ...padding, ...encoding }).toString('base64url')}`
}

export const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

/** A whole problem document, its request id taken from the answer's header. */
export function problem (response: LightMyRequestResponse | RawResponse, status: number, title: string, code: string, detail: string, members: Record<string, unknown> = {}) {
  return { ...members, type: `urn:livekit-sessions:problem:${code}`, title, status, detail, instance: `urn:livekit-sessions:request:${String(response.headers['x-request-id'])}` }
}

export interface RawResponse { statusCode: number, headers: Record<string, string>, body: string, json: () => unknown }

/** A bare connection to the listening app. */
export function connect (app: FastifyInstance): net.Socket {
  const { port } = app.server.address() as net.AddressInfo
  return net.connect({ port, host: '127.0.0.1' })
}

/**
 * Writes bytes to the app's real socket and reads until it closes.
 * @param parts what to send, one write after the other
 */
export async function talk (app: FastifyInstance, ...parts: Array<string | Buffer>): Promise<RawResponse[]> {
  const socket = connect(app)
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  const closed = new Promise((resolve) => socket.on('close', resolve))
  socket.on('error', () => {})
  for (const bytes of parts) {
    socket.write(bytes)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await closed
  return readResponses(Buffer.concat(chunks))
}

/** Takes the answers in a byte stream apart, one after the other. */
export function readResponses (bytes: Buffer): RawResponse[] {
  const responses: RawResponse[] = []
  while (bytes.length > 0) {
    const end = bytes.indexOf('\r\n\r\n')
    if (end < 0) throw new Error(`not an HTTP answer: ${bytes.toString('latin1')}`)
    const [first = '', ...rest] = bytes.subarray(0, end).toString('latin1').split('\r\n')
    const headers = Object.fromEntries(rest.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]))
    const length = Number(headers['content-length'] ?? 0)
    const body = bytes.subarray(end + 4, end + 4 + length).toString()
    bytes = bytes.subarray(end + 4 + length)
    const statusCode = Number(first.split(' ')[1])
    if (statusCode !== 100) responses.push({ statusCode, headers, body, json: () => JSON.parse(body) })
  }
  return responses
}
