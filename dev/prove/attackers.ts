// `npm run prove:attackers`: what floods from one address cost everybody else, and how many rows an attacker can add.
import { createHmac, randomBytes } from 'node:crypto'
import net from 'node:net'
import { Pool } from 'undici'
import { encode, signUserToken } from '../demo/token.ts'
import { claim, neighbourhood, prove, sleep } from './proof.ts'
import { percentile } from './figures.ts'
import { holdingOf } from './processes.ts'
import { startTraffic, statuses } from './traffic.ts'

const FLOOD = 10_000 // ms
const WIDTH = 50 // requests of the attacker in flight
const LIMIT = 200 // ms, p99 of others

type Request = Parameters<Pool['request']>[0]

/** Ten users live their lives while the attack goes on; claims what they notice and what is left of it. */
async function attack (what: string, begin: (parts: Awaited<ReturnType<typeof neighbourhood>>) => Promise<() => Promise<number>> | (() => Promise<number>)) {
  const parts = await neighbourhood({ built: true, env: { NODE_ENV: 'production', LOG_LEVEL: 'warn', RATE_LIMIT_PER_MINUTE: '300', START_LIMIT_PER_MINUTE: '30', MAX_SESSIONS_PER_USER: '5', TRUST_PROXY: '127.0.0.1' } })
  const { service, secret, query } = parts
  const rows = async () => (await query('select (select count(*)::int from sessions) as sessions, (select count(*)::int from session_events) as events'))[0] as { sessions: number, events: number }
  const users = startTraffic({ url: service.url, secret, users: 10, pause: 500 })
  await sleep(2000)
  const calm = percentile(users.samples.map(({ ms }) => ms), 0.99)
  const before = { ...holdingOf(service.pid), log: service.log().length }
  const since = performance.now()
  const end = await begin(parts)
  await sleep(FLOOD)
  const seen = users.since(since)
  const attempts = await end()
  const after = holdingOf(service.pid)
  await users.stop()
  const own = (await query('select count(*)::int as own from session_events e left join sessions s on s.id = e.session_id where s.user_id like \'user-%\''))[0].own as number
  const all = await rows()
  const worst = percentile(seen.map(({ ms }) => ms), 0.99)
  const strangers = all.events - own
  const lines = service.log().slice(before.log).split('\n').length - 1
  claim(`${what}: others' p99 under ${LIMIT} ms`, worst < LIMIT && seen.every(({ status }) => status === 200), `${worst.toFixed(0)} ms (${calm.toFixed(0)} before) of ${seen.length} requests, ${statuses(seen)}; ${attempts} attempts, ${((after.cpu - before.cpu) * 1000 / Math.max(1, attempts)).toFixed(0)} us of CPU each, memory ${before.memory.toFixed(0)} to ${after.memory.toFixed(0)} MB`)
  claim(`${what}: few rows, few lines`, strangers < 100 && lines < 20_000, `${strangers} rows of the attacker's, ${lines} lines`)
}

/** Sends the same kind of request WIDTH at a time, always from the one address. */
function flood (url: string, make: (n: number) => Omit<Request, 'path'> & { path: string }) {
  const pool = new Pool(url, { connections: WIDTH, pipelining: 1, connect: { timeout: 5000 } })
  const over = new AbortController()
  let n = 0
  const lanes = Array.from({ length: WIDTH }, async () => {
    while (!over.signal.aborted) {
      const request = make(n++)
      await pool.request({ ...request, headers: { 'x-forwarded-for': '203.0.113.9', ...request.headers as object } }).then(({ body }) => body.dump(), () => sleep(1))
    }
  })
  return async () => { over.abort(); await Promise.all(lanes); await pool.destroy(); return n }
}

const STATUS = '/api/v1/voice-sessions/active'

await prove({
  'bad tokens': () => attack('bad tokens', ({ service }) => {
    const signed = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ sub: 'mallory', exp: 4e9 })}`
    return flood(service.url, (n) => ({ method: 'GET', path: STATUS, headers: { authorization: `Bearer ${signed}.${createHmac('sha256', `wrong ${n}`).update(signed).digest('base64url')}` } }))
  }),
  'tokens of keys that nobody knows': () => attack('unknown keys', ({ service }) => flood(service.url, (n) => ({ method: 'GET', path: STATUS, headers: { authorization: `Bearer ${encode({ alg: 'RS256', kid: `key-${n}` })}.${encode({ sub: 'mallory', exp: 4e9 })}.${randomBytes(256).toString('base64url')}` } }))),
  'starts that are refused': () => attack('refused starts', ({ service, secret }) => {
    const token = signUserToken(secret, { sub: 'mallory' })
    return flood(service.url, () => ({ method: 'POST', path: '/api/v1/voice-sessions/start', headers: { authorization: `Bearer ${token}` } }))
  }),
  'sessions of others': () => attack('sessions of others', async ({ service, secret, call }) => {
    const { body } = await call('user-999', 'POST', '/voice-sessions/start')
    const token = signUserToken(secret, { sub: 'mallory' })
    return flood(service.url, () => ({ method: 'GET', path: `/api/v1/voice-sessions/${body.room_name}/status`, headers: { authorization: `Bearer ${token}` } }))
  }),
  'bodies of 16 KiB': () => attack('large bodies', ({ service, secret }) => {
    const token = signUserToken(secret, { sub: 'mallory' })
    const body = JSON.stringify({ agent_type: 'x'.repeat(16_000) })
    return flood(service.url, () => ({ method: 'POST', path: '/api/v1/voice-sessions/start', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body }))
  }),
  'webhooks with bad signatures': () => attack('unsigned webhooks', ({ service }) => {
    const body = JSON.stringify({ event: 'room_finished', room: { name: 'voice_session_x' } })
    const token = `${encode({ alg: 'HS256' })}.${encode({ iss: 'devkey', exp: 4e9, sha256: 'x' })}.${randomBytes(32).toString('base64url')}`
    return flood(service.url, () => ({ method: 'POST', path: '/api/v1/livekit/webhook', headers: { authorization: token, 'content-type': 'application/webhook+json' }, body }))
  }),
  'headers a byte at a time': () => attack('slow headers', ({ service }) => {
    let opened = 0
    const sockets = new Set<net.Socket>()
    const open = () => {
      const socket = net.connect(service.port, '127.0.0.1').on('error', () => {}).on('close', () => { sockets.delete(socket); if (!over) setTimeout(open, 50) })
      opened++
      sockets.add(socket)
      socket.write('GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ')
    }
    let over = false
    const drip = setInterval(() => { for (const socket of sockets) socket.write('x') }, 1000)
    for (let n = 0; n < 500; n++) open()
    return async () => {
      over = true
      clearInterval(drip)
      for (const socket of sockets) socket.destroy()
      return opened
    }
  })
})
