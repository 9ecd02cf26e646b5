// Agents that do not come, die, come late or come twice (D2): the decision by itself, and on a real server with a real worker.
import t, { type Test } from 'tap'
import { joinRoom } from '../dev/livekit/participant.ts'
import { startTestWorker, type Behaviour } from '../dev/livekit/test-worker.ts'
import type { Participant } from '../src/sessions/rooms.ts'
import type { Session } from '../src/sessions/store.ts'
import { watchAgent } from '../src/sessions/watchdog.ts'
import { appFor, databaseFor, environment, eventually, listening, livekitFor, movableClock, queryFor, webhookOf } from './helper.ts'

const now = new Date('2026-01-01T10:00:00Z')
const ago = (seconds: number) => new Date(now.getTime() - seconds * 1000)
const limits = { joinTimeout: 15, maxDispatches: 3 }
const session = (columns: Partial<Session>) => ({ agent_state: 'dispatched', episode_dispatches: 1, agent_dispatched_at: ago(100), ...columns }) as Session
const one = (kind: string, seconds: number, more: Partial<Participant> = {}): Participant => ({ sid: `PA_${kind}${seconds}`, identity: kind, kind, state: 'ACTIVE', joinedAt: ago(seconds), attributes: {}, ...more })
const user = (seconds: number) => one('STANDARD', seconds)
const agent = (seconds: number, more?: Partial<Participant>) => one('AGENT', seconds, more)

t.test('the decision', async (t) => {
  const decide = (columns: Partial<Session>, ...participants: Participant[]) => watchAgent(session(columns), participants, limits, now)
  t.same(decide({ agent_state: 'none' }, user(100)), { do: 'wait' }, 'no agent is asked for')
  t.same(decide({}), { do: 'wait' }, 'nobody waits')
  t.same(decide({}, user(10)), { do: 'wait', at: new Date(ago(10).getTime() + 15_000) }, 'counted from the user\'s join')
  t.same(decide({}, user(15)), { do: 'dispatch' })
  t.same(decide({ agent_dispatched_at: ago(5) }, user(90)), { do: 'wait', at: new Date(ago(5).getTime() + 15_000) }, 'counted from the last dispatch')
  t.same(decide({ episode_dispatches: 2, agent_dispatched_at: ago(29.5) }, user(90)), { do: 'wait', at: new Date(ago(29.5).getTime() + 30_000) }, 'the pauses grow')
  t.same(decide({ episode_dispatches: 2, agent_dispatched_at: ago(30) }, user(90)), { do: 'dispatch' })
  t.same(decide({ episode_dispatches: 3, agent_dispatched_at: ago(45) }, user(90)), { do: 'fail' })
  t.same(decide({ agent_state: 'failed' }, user(90)), { do: 'wait' }, 'given up until the user comes back')
  t.same(decide({ agent_state: 'left', agent_dispatched_at: ago(1) }, user(90)), { do: 'dispatch' }, 'seen leaving: at once')
  t.same(decide({ agent_state: 'joined' }, user(90)), { do: 'wait', at: new Date(now.getTime() + 1000) }, 'told of, but not listed: ask again')
  t.same(decide({}, user(90), agent(80)), { do: 'wait', at: undefined })
  t.same(decide({}, user(90), agent(80, { state: 'JOINING' })), { do: 'dispatch' }, 'only ACTIVE counts')
  t.same(decide({ episode_dispatches: 2, agent_dispatched_at: ago(5) }, user(90), agent(80)), { do: 'wait', at: new Date(now.getTime() + 1000) }, 'a second one may come: look again soon')
  const late = agent(1)
  t.same(decide({}, late, user(90), agent(80), agent(70, { attributes: { 'lk.publish_on_behalf': 'AGENT' } })), { do: 'remove', agents: [late] }, 'the first one stays, the avatar is none')
})

async function setting (t: Test, behaviour: Behaviour | undefined, env: NodeJS.ProcessEnv = {}) {
  const all = await listening(t, { AGENT_JOIN_TIMEOUT: '1', AGENT_MAX_DISPATCHES: '3', RECONCILE_INTERVAL: '2', ...env })
  const startWorker = async (behaviour: Behaviour) => {
    const worker = await startTestWorker({ url: all.livekit.url, apiKey: all.livekit.apiKey, apiSecret: all.livekit.apiSecret, agentName: 'voice-agent', behaviour })
    t.teardown(() => worker.stop())
    return worker
  }
  const worker = behaviour && await startWorker(behaviour)
  const { room_name: room, token } = (await all.app.as('alice').start()).json()
  const agents = async () => (await all.rooms.listParticipants(room)).filter(({ kind, state }) => kind === 4 && state === 2).length
  const row = async () => (await all.query('select agent_state, agent_dispatches, episode_dispatches, state, end_reason from sessions where room_name = $1', [room]))[0]
  return { ...all, worker, startWorker, room, agents, row, join: () => joinRoom({ url: all.livekit.url, token }) }
}

t.test('no worker, then one arrives while the user waits', async (t) => {
  const { app, startWorker, room, row, join } = await setting(t, undefined)
  await join()
  await startWorker('accept')
  await eventually(async () => (await app.as('alice').status(room)).json().agent_connected, 6000)
  await eventually(async () => (await row()).agent_state === 'joined')
  const { agent_dispatches: dispatches } = await row()
  t.ok(dispatches === 2 || dispatches === 3)
  const lines = app.logs.filter((line) => line.msg === 'agent missing: dispatching another')
  t.equal(lines.length, dispatches - 1)
  t.match(lines[0], { level: 40, roomName: room, userId: 'alice', dispatch: 2 })
})

t.test('an agent that leaves while its user stays is replaced at once', async (t) => {
  const { app, worker, room, agents, join, query } = await setting(t, 'accept')
  await join()
  await eventually(async () => await agents() === 1)
  await (await eventually(() => worker!.jobs[0]?.agent))!.leave()
  const left = Date.now()
  await eventually(() => worker!.jobs.length === 2 && worker!.jobs[1]!.state === 'joined')
  t.ok(Date.now() - left < 3000)
  t.same(JSON.parse(worker!.jobs[1]!.metadata), { ...JSON.parse(worker!.jobs[0]!.metadata), dispatch: 2 })
  await eventually(async () => (await app.as('alice').status(room)).json().agent_connected)
  t.same((await query('select type, data from session_events where type = \'agent.dispatched\'')), [{ type: 'agent.dispatched', data: { dispatch: 2 } }])
})

t.test('an agent that never comes: tried a bounded number of times, then said so, and the session goes on', async (t) => {
  const { app, worker, room, row, join, query } = await setting(t, 'refuse')
  await join()
  await eventually(async () => (await row()).agent_state === 'failed', 12_000)
  t.match(await row(), { agent_dispatches: 3, episode_dispatches: 3, state: 'live' })
  t.equal(worker!.jobs.length, 3)
  t.equal(app.logs.filter((line) => line.msg === 'no agent came' && line.level === 50).length, 1)
  t.equal((await query('select 1 from session_events where type = \'agent.failed\'')).length, 1)
  t.same((await app.as('alice').status(room)).json(), { ...(await app.as('alice').status(room)).json(), active: true, participants: 1, agent_connected: false })
  const metric = (await app.metrics.getMetricsAsJSON()).find(({ name }) => name === 'reconciler_corrected_total')!
  t.match(metric.values.find(({ labels }) => (labels as { kind: string }).kind === 'agent_failed'), { value: 1 })
})

t.test('END_ON_AGENT_FAILURE ends it', async (t) => {
  const { row, join } = await setting(t, 'refuse', { END_ON_AGENT_FAILURE: 'true', AGENT_MAX_DISPATCHES: '1' })
  const user = await join()
  t.equal(await user.disconnected, 'ROOM_DELETED')
  await eventually(async () => (await row()).state === 'ended')
  t.match(await row(), { state: 'ended', end_reason: 'agent_failed' })
})

t.test('a worker that joins late never leads to two agents for more than 2 s', async (t) => {
  const { agents, row, join } = await setting(t, { slow: 2500 })
  await join()
  let two = 0
  let longest = 0
  const end = Date.now() + 12_000
  while (Date.now() < end) {
    if (await agents() > 1) {
      two ||= Date.now()
      longest = Math.max(longest, Date.now() - two)
    } else two = 0
    await new Promise((resolve) => { setTimeout(resolve, 50) })
  }
  t.ok(longest < 2000, `${longest} ms`)
  t.equal(await agents(), 1)
  t.ok((await row()).agent_dispatches <= 3)
})

t.test('a user who returns after the agent left gets one again', async (t) => {
  const { worker, agents, join, row } = await setting(t, 'accept')
  const first = await join()
  await eventually(async () => await agents() === 1)
  await first.leave()
  await (await eventually(() => worker!.jobs[0]?.agent))!.leave()
  await eventually(async () => (await row()).agent_state === 'left')
  await new Promise((resolve) => { setTimeout(resolve, 1500) })
  t.equal(worker!.jobs.length, 1, 'nobody waits, nobody is sent for')
  await join()
  await eventually(async () => await agents() === 1)
  t.match(await row(), { agent_dispatches: 2, episode_dispatches: 1 })
})

t.test('an agent that was given up and is there all the same: the next look says so', async (t) => {
  const { join, row, query } = await setting(t, 'accept')
  await join()
  await eventually(async () => (await query('select 1 from sessions where seen_sids like \'% %\'')).length === 1)
  await query('update sessions set agent_state = \'failed\'')
  await eventually(async () => (await row()).agent_state === 'joined')
})

/** A user waits in a room to which no worker comes; the test moves the clock and makes LiveKit's webhooks. */
async function waiting (t: Test, env: NodeJS.ProcessEnv = {}) {
  const livekit = await livekitFor(t)
  const databaseUrl = await databaseFor(t)
  const clock = movableClock()
  const app = await appFor(t, environment(livekit, databaseUrl, { AGENT_JOIN_TIMEOUT: '20', RECONCILE_INTERVAL: '15', ...env }), clock)
  const query = await queryFor(t, databaseUrl)
  const { room_name: room, token } = (await app.as('alice').start()).json()
  await joinRoom({ url: livekit.url, token })
  const [{ room_sid: sid }] = await query('select room_sid from sessions')
  const agentComes = async () => app.inject(await webhookOf(livekit, {
    event: 'participant_joined',
    id: 'EV_agent',
    createdAt: String(Math.floor(clock.now() / 1000)),
    room: { name: room, sid },
    participant: { sid: 'PA_agent', identity: 'agent-1', kind: 'AGENT', state: 'ACTIVE', joinedAt: String(Math.floor(clock.now() / 1000)), joinedAtMs: String(clock.now()) }
  }))
  const state = async () => ({
    session: (await query('select state, agent_state, agent_dispatches from sessions'))[0],
    agents: await query('select identity, left_at from participants where kind = \'AGENT\''),
    events: (await query('select type from session_events where type like \'agent.%\' order by id')).map(({ type }) => type)
  })
  const pass = async (after: number) => {
    clock.advance(after)
    return (await app.reconciler.reconcile()).corrected
  }
  return { app, clock, agentComes, state, pass }
}

const there = { session: { state: 'live', agent_state: 'joined', agent_dispatches: 1 }, agents: [{ identity: 'agent-1', left_at: null }], events: ['agent.joined'] }

for (const [what, env] of Object.entries({ 'given up': { AGENT_MAX_DISPATCHES: '1', END_ON_AGENT_FAILURE: 'true' }, 'sent for again': { AGENT_MAX_DISPATCHES: '3' } })) {
  t.test(`an agent that comes at the moment at which it would be ${what} is not`, async (t) => {
    const { app, agentComes, state, pass } = await waiting(t, env)
    t.same(await pass(15_000), {}, 'its time is not over')
    const { change } = app.sessionStore
    app.sessionStore.change = async (...args) => {
      app.sessionStore.change = change
      await agentComes()
      return change(...args)
    }
    t.same(await pass(15_000), {})
    t.same(await state(), there)
    t.same(app.logs.filter(({ msg }) => /no agent came|agent missing/.test(msg)), [])
  })
}

t.test('an agent that came after LiveKit was asked is not missed, however long the look takes', async (t) => {
  const { app, clock, agentComes, state, pass } = await waiting(t)
  const { listParticipants } = app.livekit
  app.livekit.listParticipants = async (...args) => {
    const listed = await listParticipants(...args)
    await agentComes()
    clock.advance(6000)
    return listed
  }
  await pass(15_000)
  t.same(await state(), there)
})
