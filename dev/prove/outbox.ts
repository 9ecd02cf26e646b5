// `npm run prove:outbox`: the service killed (-9) at each step from the change of a session to the word on its webhook, 10 times each, under load.
// `npm run prove:outbox -- 3 receiver`: 3 times each at the points whose name has that word.
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { request } from 'undici'
import { signUserToken } from '../demo/token.ts'
import { startFaultProxy, type Fault } from '../faults/fault-proxy.ts'
import { startLiveKit } from '../livekit/livekit.ts'
import { startPostgres } from '../postgres.ts'
import { startReceiver } from '../webhooks/receiver.ts'
import { startService } from './service.ts'

const [times = '10', only = ''] = process.argv.slice(2)
const TIMES = Number(times)
/** Users who start and end sessions all the while. */
const USERS = 6

/** Where everything is held when the process is killed: statements that do not get through, or whose answers do not come back. */
const points: Record<string, { fault: Fault, when: RegExp } | 'receiver' | 'any time'> = {
  'the change that starts a session does not arrive': { fault: 'hang', when: /set state = 'live'/ },
  'the change that starts a session is made, unanswered': { fault: 'mute', when: /set state = 'live'/ },
  'the change that ends a session does not arrive': { fault: 'hang', when: /set state = 'ended'/ },
  'the change that ends a session is made, unanswered': { fault: 'mute', when: /set state = 'ended'/ },
  'messages are not claimed': { fault: 'hang', when: /set attempts = attempts \+ 1/ },
  'messages are claimed, unanswered': { fault: 'mute', when: /set attempts = attempts \+ 1/ },
  'the receiver has the message and does not answer': 'receiver',
  'the word on a delivery does not arrive': { fault: 'hang', when: /with settled as/ },
  'the word on a delivery is written, unanswered': { fault: 'mute', when: /with settled as/ },
  'at any time': 'any time'
}

const postgres = await startPostgres()
const livekit = await startLiveKit({ log: console.log })
const secret = randomBytes(32).toString('hex')
const env = { LIVEKIT_URL: livekit.url, LIVEKIT_API_KEY: livekit.apiKey, LIVEKIT_API_SECRET: livekit.apiSecret, JWT_SECRET: secret, LOG_LEVEL: 'fatal', RATE_LIMIT_PER_MINUTE: '0', START_LIMIT_PER_MINUTE: '0', VOICE_AGENT_NAME: '', WEBHOOK_ALLOW_PRIVATE: 'true' }
const call = async (url: string, user: string, method: 'POST' | 'DELETE', path: string, body?: object) => {
  const headers = { authorization: `Bearer ${signUserToken(secret, { sub: user, ...(user === 'root' && { role: 'admin' }) })}`, ...(body && { 'content-type': 'application/json' }) }
  const response = await request(`${url}/api/v1${path}`, { method, reset: true, headers, body: body && JSON.stringify(body) })
  return response.body.json() as Promise<any>
}

interface Report { committed: number, deliveries: number, lost: number, invented: number, outOfOrder: number, unsigned: number }

/** One database, one receiver; a service that is killed under load, and the next one that finds what it left. */
async function killAt (point: keyof typeof points): Promise<Report> {
  const where = points[point]!
  const name = `outbox_${randomBytes(6).toString('hex')}`
  const root = new pg.Client({ connectionString: postgres.url })
  await root.connect()
  await root.query(`create database ${name}`)
  const database = new URL(postgres.url)
  database.pathname = `/${name}`
  const proxy = await startFaultProxy({ target: { host: '127.0.0.1', port: Number(database.port) } })
  const viaProxy = new URL(database)
  viaProxy.port = String(proxy.port)
  const receiver = await startReceiver()
  const sql = new pg.Client({ connectionString: database.href })
  try {
    const victim = await startService({ ...env, DATABASE_URL: viaProxy.href })
    await sql.connect()
    const endpoint = await call(victim.url, 'root', 'POST', '/webhook-endpoints', { url: receiver.url, events: ['session.started', 'session.ended'] })
    receiver.options.secret = endpoint.secret

    const killed = new AbortController()
    const over = killed.signal
    const load = Promise.all(Array.from({ length: USERS }, async (_, n) => {
      while (!over.aborted) {
        const { room_name: room } = await call(victim.url, `user-${n}`, 'POST', '/voice-sessions/start').catch(() => ({}))
        if (room) await call(victim.url, `user-${n}`, 'DELETE', `/voice-sessions/${room}`).catch(() => {})
        else await sleep(10)
      }
    }))
    while (receiver.received.length < 10) await sleep(5)
    if (where === 'receiver') receiver.options.answer = () => 'hang'
    else if (where !== 'any time') {
      // A statement is prepared once on each connection, and only then its text is seen: on new ones all are.
      await proxy.fault('reset')
      await proxy.fault(where.fault, where.when)
    }
    const seen = receiver.received.length
    if (where === 'any time') await sleep(Math.random() * 300)
    else while (where === 'receiver' ? receiver.received.length === seen : proxy.hits() === 0) await sleep(2)
    await victim.kill()
    killed.abort()
    receiver.options.answer = undefined
    await load
    await proxy.stop()

    // What it had claimed is due after its lease; that pause is not what this is about.
    await sql.query('update webhook_deliveries set next_attempt_at = \'-infinity\' where state = \'pending\'')
    await sql.query('update sessions set next_check_at = now() - interval \'1 s\', lease_until = \'-infinity\' where ended_at is null')
    const healer = await startService({ ...env, DATABASE_URL: database.href })
    for (let n = 0; n < 400; n++) {
      const { rows } = await sql.query('select 1 from webhook_deliveries where state = \'pending\' union all select 1 from sessions where state in (\'starting\', \'ending\') limit 1')
      if (rows.length === 0) break
      await sleep(50)
    }
    await healer.stop()
    return await count(sql, receiver)
  } finally {
    await Promise.all([sql.end(), receiver.stop()])
    await root.query(`drop database if exists ${name} with (force)`)
    await root.end()
  }
}

/** What was committed, from the history of the sessions themselves, against what the receiver verified. */
async function count (sql: pg.Client, { received, refused }: Awaited<ReturnType<typeof startReceiver>>): Promise<Report> {
  const { rows } = await sql.query<{ what: string }>(`
    select e.session_id || ' ' || e.type as what from session_events e join sessions s on s.id = e.session_id
     where e.type in ('session.started', 'session.ended') and s.room_sid is not null order by e.id`)
  const committed = new Set(rows.map(({ what }) => what))
  const ids = new Map<string, Set<string>>()
  let outOfOrder = 0
  for (const { id, body } of received) {
    const what = `${body.data.id} ${body.type}`
    if (body.type === 'session.ended' && !ids.has(`${body.data.id} session.started`)) outOfOrder++
    ids.set(what, (ids.get(what) ?? new Set()).add(id))
  }
  return {
    committed: committed.size,
    deliveries: received.length,
    lost: [...committed].filter((what) => !ids.has(what)).length,
    // Sent and not on record, or one change under two ids.
    invented: [...ids].filter(([what, messages]) => !committed.has(what) || messages.size > 1).length + (rows.length - committed.size),
    outOfOrder,
    unsigned: refused()
  }
}

let wrong = 0
try {
  for (const point of Object.keys(points).filter((name) => name.includes(only))) {
    const sum: Report = { committed: 0, deliveries: 0, lost: 0, invented: 0, outOfOrder: 0, unsigned: 0 }
    for (let time = 0; time < TIMES; time++) {
      const report = await killAt(point)
      for (const key of Object.keys(sum) as Array<keyof Report>) sum[key] += report[key]
    }
    wrong += sum.lost + sum.invented + sum.outOfOrder + sum.unsigned
    console.log(`${point.padEnd(52)} killed ${TIMES} times: ${sum.committed} changes, ${sum.deliveries} deliveries, ${sum.lost} lost, ${sum.invented} invented, ${sum.outOfOrder} out of order, ${sum.unsigned} not signed`)
  }
} finally {
  await livekit.stop()
  await postgres.stop()
}
process.exit(wrong === 0 ? 0 : 1)
