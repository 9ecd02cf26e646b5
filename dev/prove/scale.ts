// `npm run prove:scale`: what a pass of the reconciler costs with 1,000 real rooms, and with 10,000 rows on a faked LiveKit (D6).
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { randomBytes, randomUUID } from 'node:crypto'
import pg from 'pg'
import { buildApp } from '../../src/app.ts'
import { startEmulator } from '../livekit/emulator/emulator.ts'
import { startLiveKit } from '../livekit/livekit.ts'
import { claim, prove, seconds, sleep, startDatabase } from './proof.ts'

async function appOn (livekit: { url: string, apiKey: string, apiSecret: string }, databaseUrl: string, env: NodeJS.ProcessEnv = {}) {
  return buildApp({
    environment: { LIVEKIT_URL: livekit.url, LIVEKIT_API_KEY: livekit.apiKey, LIVEKIT_API_SECRET: livekit.apiSecret, JWT_SECRET: randomBytes(32).toString('hex'), DATABASE_URL: databaseUrl, LOG_LEVEL: 'error', PORT: '0', ...env }
  })
}

async function rows (databaseUrl: string, names: Array<{ name: string, sid: string }>, dueIn: number) {
  const sql = new pg.Client({ connectionString: databaseUrl })
  await sql.connect()
  await sql.query(`
    insert into sessions (id, mode, room_name, room_sid, user_id, agent_type, request_id, agent_state, created_at, expires_at, next_check_at, state, slot)
    select gen_random_uuid(), 'voice', n.name, n.sid, 'user-' || n.name, 'general', 'r', 'none', now(), now() + interval '6 hours', now() + random() * $3 * interval '1 s', 'live', 1
      from unnest($1::text[], $2::text[]) n (name, sid)`, [names.map(({ name }) => name), names.map(({ sid }) => sid), dueIn])
  return sql
}

const callsOf = async (app: Awaited<ReturnType<typeof appOn>>) => {
  const metric = (await app.metrics.getMetricsAsJSON()).find(({ name }) => name === 'livekit_requests_total')
  return Object.fromEntries(metric!.values.filter(({ labels }) => (labels as { outcome: string }).outcome === 'ok').map(({ labels, value }) => [(labels as { method: string }).method, value]))
}

await prove({
  '1,000 live sessions on the real server': async () => {
    const livekit = await startLiveKit({ log: console.log })
    const databaseUrl = await startDatabase()
    const app = await appOn(livekit, databaseUrl)
    const names: Array<{ name: string, sid: string }> = []
    for (let n = 0; n < 1000; n++) {
      const name = `scale-${randomUUID()}`
      const { sid } = await app.livekit.createRoom({ name, metadata: '', emptyTimeout: 300, departureTimeout: 60, maxParticipants: 2, agentName: '', agentMetadata: '' })
      names.push({ name, sid })
    }
    const sql = await rows(databaseUrl, names, 0)
    for (const pass of ['the first pass', 'the second pass']) {
      await sql.query('update sessions set next_check_at = now()')
      const before = await callsOf(app)
      const began = performance.now()
      const { checked, corrected } = await app.reconciler.reconcile()
      const took = performance.now() - began
      const after = await callsOf(app)
      const calls = Object.entries(after).map(([method, count]) => `${count - (before[method] ?? 0)} ${method}`).filter((text) => !text.startsWith('0 '))
      claim(pass, took < 2000 && checked === 1000 && Object.keys(corrected).length === 0, `${checked} sessions in ${seconds(took)}; calls: ${calls.join(', ')}`)
    }
    await sql.end()
    await app.close()
    await livekit.stop()
  },

  '10,000 rows, LiveKit faked: every row within two intervals': async () => {
    const INTERVAL = 15
    const emulator = await startEmulator()
    const databaseUrl = await startDatabase()
    const app = await appOn(emulator, databaseUrl, { RECONCILE_INTERVAL: String(INTERVAL) })
    const names: Array<{ name: string, sid: string }> = []
    for (let n = 0; n < 10_000; n += 50) {
      names.push(...await Promise.all(Array.from({ length: 50 }, async (_, m) => {
        const name = `scale-${n + m}`
        return { name, sid: (await app.livekit.createRoom({ name, metadata: '', emptyTimeout: 3000, departureTimeout: 60, maxParticipants: 2, agentName: '', agentMetadata: '' })).sid }
      })))
    }
    const sql = await rows(databaseUrl, names, INTERVAL)
    await sql.query('update sessions set check_no = 0')
    const delay = monitorEventLoopDelay({ resolution: 5 })
    await app.listen({ host: '127.0.0.1', port: 0 })
    delay.enable()
    const before = await callsOf(app)
    await sleep(2 * INTERVAL * 1000)
    delay.disable()
    const { rows: [{ unseen, looks, ended }] } = await sql.query('select count(*) filter (where check_no = 0)::int as unseen, sum(check_no)::int as looks, count(*) filter (where state <> \'live\')::int as ended from sessions')
    const after = await callsOf(app)
    const calls = Object.entries(after).map(([method, count]) => `${count - (before[method] ?? 0)} ${method}`).filter((text) => !text.startsWith('0 '))
    claim('rows not looked at', unseen === 0 && ended === 0, `${unseen}; ${looks} looks in ${2 * INTERVAL} s; calls: ${calls.join(', ')}`)
    claim('event-loop delay (the emulator shares the process)', delay.percentile(99) / 1e6 < 20, `mean ${(delay.mean / 1e6 - 5).toFixed(1)} ms, p99 ${(delay.percentile(99) / 1e6 - 5).toFixed(1)} ms beyond the timer's 5`)
    await sql.end()
    await app.close()
    await emulator.stop()
  }
})
