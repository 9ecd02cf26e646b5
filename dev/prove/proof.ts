// What the `npm run prove:<name>` scripts share: a neighbourhood of real parts, and a list of claims with figures.
import { randomBytes } from 'node:crypto'
import { RoomServiceClient } from 'livekit-server-sdk'
import pg from 'pg'
import { freeTcpPort, startLiveKit, type LiveKitOptions } from '../livekit/livekit.ts'
import { disposeParticipants } from '../livekit/participant.ts'
import { startFaultProxy } from '../faults/fault-proxy.ts'
import { startPostgres } from '../postgres.ts'
import { startService, type Service } from './service.ts'
import { startTestWorker, type Behaviour } from '../livekit/test-worker.ts'
import { signUserToken } from '../demo/token.ts'

const closers: Array<() => Promise<unknown>> = []
let wrong = 0

/** Notes whether something held, with its figure. */
export function claim (what: string, held: boolean, figure = '') {
  if (!held) wrong++
  console.log(`${held ? 'holds ' : 'BROKEN'}  ${what}${figure && `: ${figure}`}`)
}

export const sleep = (ms: number) => new Promise<void>((resolve) => { setTimeout(resolve, ms) })

/** Milliseconds until `look` says something true; Infinity after `limit` ms. */
export async function until (look: () => unknown, limit: number): Promise<number> {
  const began = performance.now()
  while (performance.now() - began < limit) {
    if (await look()) return performance.now() - began
    await sleep(25)
  }
  return Infinity
}

export const seconds = (ms: number) => `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`

/** Something that was started besides, to be ended with the rest. */
export function closing (close: () => Promise<unknown>) {
  closers.unshift(close)
}

/** A PostgreSQL of its own, empty. */
export async function startDatabase () {
  const postgres = await startPostgres()
  closers.unshift(() => postgres.stop())
  return postgres.url
}

/** A proxy that fails on demand in front of a URL, whose own `address` leads through it; ends with the part of the proof. */
export async function faultsBefore (address: string) {
  const way = new URL(address)
  const proxy = await startFaultProxy({ target: { host: way.hostname, port: Number(way.port) } })
  closers.unshift(() => proxy.stop())
  way.port = String(proxy.port)
  return Object.assign(proxy, { address: way.href })
}

export interface NeighbourhoodOptions {
  env?: NodeJS.ProcessEnv
  webhooks?: boolean
  livekit?: LiveKitOptions
  databaseUrl?: string
  descriptors?: number
  /** Put a proxy that fails on demand between the service and LiveKit, PostgreSQL and LiveKit's webhooks: `faults`. */
  faults?: boolean
  built?: boolean
}

/** A real LiveKit, the service as a process, its database, and what is needed to act and look. */
export async function neighbourhood ({ env = {}, webhooks = true, livekit: options = {}, databaseUrl, descriptors, faults = false, built = false }: NeighbourhoodOptions = {}) {
  const port = await freeTcpPort()
  const webhookProxy = faults ? await faultsBefore(`http://127.0.0.1:${port}`) : undefined
  const livekit = await startLiveKit({ ...options, log: console.log, ...(webhooks && { webhookUrl: `http://127.0.0.1:${webhookProxy?.port ?? port}/api/v1/livekit/webhook` }) })
  closers.unshift(async () => { disposeParticipants(); await livekit.stop() })
  const database = databaseUrl ?? await startDatabase()
  const proxies = webhookProxy && { webhooks: webhookProxy, livekit: await faultsBefore(livekit.url), postgres: await faultsBefore(database) }
  const secret = randomBytes(32).toString('hex')
  const service: Service = await startService({
    PORT: String(port),
    LIVEKIT_URL: proxies?.livekit.address ?? livekit.url,
    LIVEKIT_API_KEY: livekit.apiKey,
    LIVEKIT_API_SECRET: livekit.apiSecret,
    JWT_SECRET: secret,
    DATABASE_URL: proxies?.postgres.address ?? database,
    RATE_LIMIT_PER_MINUTE: '0',
    START_LIMIT_PER_MINUTE: '0',
    MAX_SESSIONS_PER_USER: '1000',
    LOG_LEVEL: 'warn',
    ...env
  }, { descriptors, built })
  closers.unshift(() => service.stop())
  const sql = new pg.Client({ connectionString: database })
  sql.on('error', () => {})
  await sql.connect()
  closers.unshift(() => sql.end())

  const call = async (user: string, method: string, path: string, body?: object, claims: object = {}) => {
    const response = await fetch(`${service.url}/api/v1${path}`, { method, headers: { authorization: `Bearer ${signUserToken(secret, { sub: user, ...claims })}`, ...(body && { 'content-type': 'application/json' }) }, body: body && JSON.stringify(body) })
    return { status: response.status, body: await response.json() as any }
  }
  return {
    livekit,
    service,
    secret,
    databaseUrl: database,
    faults: proxies,
    rooms: new RoomServiceClient(livekit.url, livekit.apiKey, livekit.apiSecret),
    query: async <Row extends object = any>(text: string, values: unknown[] = []) => (await sql.query(text, values)).rows as Row[],
    call,
    token: (user: string) => signUserToken(secret, { sub: user }),
    start: async (user: string) => (await call(user, 'POST', '/voice-sessions/start')).body as { room_name: string, token: string },
    end: (user: string, room: string) => call(user, 'DELETE', `/voice-sessions/${room}`),
    worker: async (behaviour: Behaviour, agentName = 'voice-agent') => {
      const worker = await startTestWorker({ url: livekit.url, apiKey: livekit.apiKey, apiSecret: livekit.apiSecret, agentName, behaviour })
      closers.unshift(() => worker.stop())
      return worker
    }
  }
}

/** Ends everything that was started, last first, between two parts of a proof. */
export async function tearDown () {
  for (const close of closers.splice(0)) await close().catch((error: Error) => { console.error(error.message) })
}

/** Runs the parts of a proof one after the other and exits: 0 when every claim held. */
export async function prove (parts: Record<string, () => Promise<void>>) {
  const only = process.argv[2]
  for (const [name, part] of Object.entries(parts)) {
    if (only && !name.toLowerCase().includes(only.toLowerCase())) continue
    console.log(`\n${name}`)
    try {
      await part()
    } catch (error) {
      claim(name, false, (error as Error).message)
    }
    await tearDown()
  }
  console.log(wrong === 0 ? '\nEverything held.' : `\n${wrong} did not hold.`)
  process.exit(wrong === 0 ? 0 : 1)
}
