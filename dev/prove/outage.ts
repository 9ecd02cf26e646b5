// `npm run prove:outage`: lost webhooks leave no ghosts, and a LiveKit that cannot be asked ends nothing (D6).
import { claim, neighbourhood, prove, seconds, sleep, until } from './proof.ts'

const INTERVAL = 5000
const env = { RECONCILE_INTERVAL: String(INTERVAL / 1000), MAX_SESSIONS_PER_USER: '50' }

await prove({
  'webhooks off: a room deleted behind the service\'s back leaves /active within two intervals': async () => {
    const { rooms, start, query } = await neighbourhood({ webhooks: false, env })
    const { room_name: room } = await start('alice')
    await sleep(INTERVAL)
    await rooms.deleteRoom(room)
    // Looked at in the database: asking /active itself would find it out.
    const took = await until(async () => (await query('select 1 from sessions where state = \'live\'')).length === 0, 4 * INTERVAL)
    claim('gone', took < 2 * INTERVAL, seconds(took))
  },

  'LiveKit gone for a minute ends no session; back and empty, they end within two intervals': async () => {
    const { livekit, start, query, service, call } = await neighbourhood({ webhooks: false, env })
    for (let n = 0; n < 20; n++) await start('bert')
    await livekit.kill()
    await sleep(60_000)
    const [{ live }] = await query('select count(*) filter (where state = \'live\')::int as live from sessions')
    claim('sessions still live after a minute without LiveKit', live === 20, `${live} of 20`)
    claim('asked meanwhile, the service says 500 or 503', (await call('bert', 'GET', '/voice-sessions/active')).status >= 500)
    await livekit.restart()
    const back = performance.now()
    const took = await until(async () => (await query('select 1 from sessions where state = \'live\'')).length === 0, 6 * INTERVAL)
    const reasons = await query('select end_reason, count(*)::int as n from sessions group by end_reason')
    claim('ended after it came back empty', took < 2 * INTERVAL, `${seconds(took)} ${JSON.stringify(reasons)}`)
    const again = await until(async () => (await call('bert', 'POST', '/voice-sessions/start')).status === 200, 5000)
    claim('and a start works', again < 2000, seconds(performance.now() - back))
    const lines = service.log().split('\n').filter((line) => /could not be asked/.test(line)).length
    console.log(`        (log lines about it in that minute: ${lines})`)
  }
})
