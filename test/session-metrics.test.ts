// What operators count by: starts by what they came to, the users' wait for an agent, the lag of webhooks, what the service depends on.
import t from 'tap'
import { createReconciler } from '../src/sessions/reconciler.ts'
import { appFor, databaseFor, environment, livekitFor, movableClock, queryFor, webhookOf, modes, type TestApp } from './helper.ts'

const livekit = await livekitFor(t)
const databaseUrl = await databaseFor(t)

/** The series of these names that are not 0, as Prometheus reads them. */
async function series (app: TestApp, ...names: string[]): Promise<Record<string, number>> {
  const { body } = await app.inject('/metrics')
  const lines = body.split('\n').filter((line) => names.some((name) => line.startsWith(`${name}{`) || line.startsWith(`${name} `)))
  return Object.fromEntries(lines.map((line) => line.split(/ (?=[^ ]+$)/)).map(([name, value]) => [name!, Number(value)] as const).filter(([, value]) => value !== 0))
}

t.test('a start is counted by what it came to', async (t) => {
  const app = await appFor(t, environment(livekit, databaseUrl, { MAX_SESSIONS_PER_USER: '1' }))
  const alice = app.as('alice')
  t.equal((await alice.start({}, { 'idempotency-key': 'k' })).statusCode, 200)
  t.equal((await alice.start({}, { 'idempotency-key': 'k' })).statusCode, 200)
  t.equal((await alice.start()).statusCode, 429)
  t.equal((await alice.start({ agent_type: 'diet' }, { 'idempotency-key': 'k' })).statusCode, 422)
  t.strictSame(await series(app, 'session_starts_total'), {
    'session_starts_total{mode="voice",outcome="started"}': 1,
    'session_starts_total{mode="voice",outcome="replayed"}': 1,
    'session_starts_total{mode="voice",outcome="refused"}': 2
  })
  const away = await appFor(t, environment(livekit, databaseUrl, { LIVEKIT_API_URL: 'ws://127.0.0.1:9' }))
  t.equal((await away.as('bert').start()).statusCode, 500)
  t.strictSame(await series(away, 'session_starts_total', 'dependency_up'), { 'session_starts_total{mode="voice",outcome="failed"}': 1, 'dependency_up{dependency="database"}': 1 })
  t.strictSame(await series(app, 'dependency_up', 'livekit_breaker_open'), { 'dependency_up{dependency="database"}': 1, 'dependency_up{dependency="livekit"}': 1 })
  for (let n = 0; n < 10; n++) await away.as('bert').start()
  t.strictSame(await series(away, 'livekit_breaker_open'), { livekit_breaker_open: 1 })
})

t.test('how long a user waits is counted once for each session, however the two come', async (t) => {
  const app = await appFor(t, environment(livekit, databaseUrl))
  const query = await queryFor(t, databaseUrl)
  const began = Date.now() - 30_000
  const session = async (user: string) => {
    const { room_name: name } = (await app.as(user).start()).json()
    const [{ room_sid: sid }] = await query('select room_sid from sessions where room_name = $1', [name])
    let n = 0
    const tell = async (event: string, kind: 'STANDARD' | 'AGENT', after: number, state = 'ACTIVE') => app.inject(await webhookOf(livekit, {
      event,
      id: `EV_${sid}_${++n}`,
      createdAt: String(Math.floor((began + after) / 1000)),
      room: { name, sid },
      participant: { sid: `PA_${sid}_${kind}`, identity: kind, kind, state, joinedAt: String(Math.floor((began + after) / 1000)), joinedAtMs: String(began + after) }
    }))
    return { name, user: (after: number) => tell('participant_joined', 'STANDARD', after), agent: (after: number) => tell('participant_joined', 'AGENT', after) }
  }
  const waits = () => series(app, 'agent_wait_seconds_count', 'agent_wait_seconds_sum')

  const late = await session('late')
  await late.user(1000)
  t.strictSame(await waits(), {}, 'not before it is over')
  await late.agent(4000)
  await late.agent(4000)
  t.strictSame(await waits(), { 'agent_wait_seconds_count{mode="voice"}': 1, 'agent_wait_seconds_sum{mode="voice"}': 3 })

  const early = await session('early')
  await early.agent(1000)
  await early.user(2000)
  t.strictSame(await waits(), { 'agent_wait_seconds_count{mode="voice"}': 2, 'agent_wait_seconds_sum{mode="voice"}': 3 }, 'whom an agent awaits does not wait')

  const never = await session('never')
  await never.user(1000)
  t.equal((await app.as('never').end(never.name)).statusCode, 200)
  const after = await waits()
  t.equal(after['agent_wait_seconds_count{mode="voice"}'], 3, 'who left without one has waited to the end')
  t.ok(after['agent_wait_seconds_sum{mode="voice"}']! >= 3 + 29)

  const nobody = await session('nobody')
  await app.as('nobody').end(nobody.name)
  await app.as('late').end(late.name)
  t.equal((await waits())['agent_wait_seconds_count{mode="voice"}'], 3, 'a session without a user is none')
  const lag = await series(app, 'livekit_webhook_lag_seconds_count', 'livekit_webhook_lag_seconds_sum')
  t.equal(lag.livekit_webhook_lag_seconds_count, 6)
  t.ok(lag.livekit_webhook_lag_seconds_sum! > 6 * 25)
})

t.test('an agent that is sent for again, in vain, and given up', async (t) => {
  const clock = movableClock()
  const app = await appFor(t, environment(livekit, databaseUrl, { AGENT_MAX_DISPATCHES: '2' }), clock)
  const { room_name: name } = (await app.as('clara').start()).json()
  const user = { identity: 'clara', sid: 'PA_clara', kind: 'STANDARD', state: 'ACTIVE', joinedAt: new Date(clock.now()), attributes: {} }
  let fails = false
  const reconcile = async () => {
    await createReconciler({
      store: app.sessionStore,
      livekit: { ...app.livekit, listParticipants: async (room) => room === name ? [user] : [], createDispatch: async () => { if (fails) throw new Error('LiveKit is away') } },
      lifecycle: app.lifecycle,
      modes,
      clock,
      log: app.log,
      limits: { interval: 15, joinTimeout: 15, maxDispatches: 2, endOnAgentFailure: false, departureTimeout: 60 },
      revives: () => false,
      jobMetadata: () => '{}',
      metrics: app.sessionMetrics
    }).reconcile()
  }
  const watchdog = () => series(app, 'watchdog_dispatches_total', 'watchdog_gave_up_total', 'agent_wait_seconds_count', 'agent_wait_seconds_sum')
  await reconcile()
  t.strictSame(await watchdog(), {})
  fails = true
  clock.advance(16_000)
  await reconcile()
  t.strictSame(await watchdog(), { 'watchdog_dispatches_total{mode="voice",outcome="failed"}': 1 })
  fails = false
  clock.advance(32_000)
  await reconcile()
  t.strictSame(await watchdog(), {
    'watchdog_dispatches_total{mode="voice",outcome="failed"}': 1,
    'watchdog_gave_up_total{mode="voice"}': 1,
    'agent_wait_seconds_count{mode="voice"}': 1,
    'agent_wait_seconds_sum{mode="voice"}': 48
  })
  await app.as('clara').end(name)
  t.equal((await watchdog())['agent_wait_seconds_count{mode="voice"}'], 1, 'its end is not a second wait')
})
