import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { ParticipantInfo_Kind as Kind, ParticipantInfo_State as State, RoomAgentDispatch } from '@livekit/protocol'
import { AccessToken, AgentDispatchClient, RoomServiceClient } from 'livekit-server-sdk'
import { startLiveKit } from '../../dev/livekit/livekit.ts'
import { joinRoom } from '../../dev/livekit/participant.ts'
import { startTestWorker, type Behaviour } from '../../dev/livekit/test-worker.ts'

const server = await startLiveKit({ departureTimeout: 1 })
const rooms = new RoomServiceClient(server.url, server.apiKey, server.apiSecret)
const dispatches = new AgentDispatchClient(server.url, server.apiKey, server.apiSecret)
const main = await worker('agent')
let count = 0
t.teardown(async () => {
  await main.stop()
  await server.stop()
})

t.test('comes into the room that asks for it, with what the dispatch said', async (t) => {
  main.setBehaviour({ attributes: { avatar: 'starting' } })
  const room = await create(t, 'agent', '{"session_id":"s1"}')
  const agent = await arrival(room)
  t.match(agent, { identity: /^agent-AJ_/, attributes: { avatar: 'starting', 'lk.agent.name': 'agent', 'lk.agent_name': 'agent' } })

  const job = main.jobs.at(-1)!
  await until(() => job.state === 'joined')
  t.match(job, { room, metadata: '{"session_id":"s1"}', identity: agent.identity })
  await job.agent!.setAttributes({ avatar: 'ready' })
  await until(async () => (await rooms.getParticipant(room, agent.identity)).attributes.avatar === 'ready')

  await rooms.deleteRoom(room)
  t.equal(await job.agent!.disconnected, 'ROOM_DELETED')
})

t.test('does not come for another name', async (t) => {
  const room = await create(t, 'somebody-else')
  await sleep(600)
  t.same(await rooms.listParticipants(room), [])
})

t.test('refuses, and stays silent', async (t) => {
  for (const [behaviour, state] of [['refuse', 'refused'], ['silent', 'silent']] as const) {
    main.setBehaviour(behaviour)
    const offered = main.jobs.length
    const room = await create(t, 'agent')
    await until(() => main.jobs.length > offered)
    await sleep(300)
    t.equal(main.jobs.at(-1)!.state, state)
    t.same(await rooms.listParticipants(room), [])
  }
})

t.test('decides job by job, and joins late', async (t) => {
  main.setBehaviour(({ metadata }) => metadata === 'slow' ? { slow: 700 } : 'accept')
  const [quick, slow] = await Promise.all([create(t, 'agent'), create(t, 'agent', 'slow')])
  await arrival(quick)
  t.same(await rooms.listParticipants(slow), [])
  t.equal(main.jobs.find(({ room }) => room === slow)!.state, 'assigned')
  await arrival(slow)
})

t.test('leaves when it was told to, and when its dispatch is deleted', async (t) => {
  main.setBehaviour({ leaveAfter: 100 })
  const room = await create(t, 'agent')
  await arrival(room)
  await until(() => main.jobs.at(-1)!.state === 'ended')
  t.equal(main.jobs.at(-1)!.reason, 'CLIENT_INITIATED')

  main.setBehaviour('accept')
  const { id } = await dispatches.createDispatch(room, 'agent', { metadata: 'again' })
  await arrival(room)
  const job = main.jobs.at(-1)!
  t.match(job, { dispatchId: id, metadata: 'again' })
  // A worker's first jobs are listed only 5 s after it registered, and LiveKit sends away the agents of listed jobs only.
  await until(async () => (await dispatches.listDispatch(room)).some(({ state }) => state!.jobs.length))
  await dispatches.deleteDispatch(id, room)
  await until(() => job.state === 'ended')
})

t.test('dies, and LiveKit goes on showing it', async (t) => {
  main.setBehaviour({ die: 50 })
  const room = await create(t, 'agent')
  const { identity } = await arrival(room)
  const job = main.jobs.at(-1)!
  await until(() => job.state === 'ended')
  t.equal(job.reason, 'PROCESS_ENDED')
  await sleep(300)
  t.match(await rooms.getParticipant(room, identity), { state: State.ACTIVE, kind: Kind.AGENT })
})

t.test('a worker can die with all its agents, and a new one take over', async (t) => {
  const first = await worker('mortal')
  const room = await create(t, 'mortal')
  const { identity } = await arrival(room)
  await first.kill()
  await sleep(200)
  t.match(await rooms.getParticipant(room, identity), { state: State.ACTIVE })

  const second = await worker('mortal')
  t.teardown(second.stop)
  t.match(second.workerId, /^AW_/)
  await dispatches.createDispatch(room, 'mortal')
  await until(async () => (await rooms.listParticipants(room)).length === 2)
  t.equal(first.jobs.length, 1)
})

t.test('registers again with a server that was restarted', async (t) => {
  const other = await startLiveKit()
  t.teardown(other.stop)
  const survivor = await startTestWorker({ ...other, agentName: 'agent' })
  t.teardown(survivor.stop)
  const { workerId } = survivor
  await other.kill()
  await other.restart()
  await until(() => survivor.workerId !== workerId)
})

t.test('says why it could not register', async (t) => {
  await t.rejects(startTestWorker({ ...server, apiSecret: 'x'.repeat(32), agentName: 'agent' }), /worker agent could not register/)
})

t.test('participants join, are refreshed, leave, are killed', async (t) => {
  const room = await create(t, 'nobody')
  const anna = await joinRoom({ url: server.url, token: await token(room, 'anna'), publish: true })
  t.match(anna, { identity: 'anna', room })
  t.equal((await anna.refreshedToken).split('.').length, 3)
  await until(async () => (await rooms.getParticipant(room, 'anna')).tracks.length === 1)

  const ben = await joinRoom({ url: server.url, token: await token(room, 'ben'), killable: true })
  await ben.kill()
  t.equal(await ben.disconnected, 'PROCESS_ENDED')
  t.match(await rooms.getParticipant(room, 'ben'), { state: State.ACTIVE }, 'nobody said goodbye')

  await anna.leave()
  t.equal(await anna.disconnected, 'CLIENT_INITIATED')
  await t.rejects(anna.kill(), /killable/)
  await until(async () => (await rooms.listParticipants(room)).every(({ identity }) => identity !== 'anna'))

  await rooms.deleteRoom(room)
  await t.rejects(joinRoom({ url: server.url, token: await token(room, 'anna') }), /404/)
})

async function worker (agentName: string, behaviour?: Behaviour) {
  return startTestWorker({ ...server, agentName, behaviour })
}

async function create (t: Test, agentName: string, metadata = ''): Promise<string> {
  const name = `room-${++count}`
  await rooms.createRoom({ name, agents: [new RoomAgentDispatch({ agentName, metadata })] })
  t.teardown(() => rooms.deleteRoom(name).catch(() => {})) // it may be gone
  return name
}

/** The agent of a room, once it is ACTIVE. */
async function arrival (room: string) {
  const active = async () => (await rooms.listParticipants(room)).find(({ kind, state }) => kind === Kind.AGENT && state === State.ACTIVE)
  return until(active)
}

async function until<T> (look: () => T | Promise<T>): Promise<NonNullable<T>> {
  for (const started = Date.now(); ;) {
    const seen = await look()
    if (seen) return seen
    if (Date.now() - started > 8000) throw new Error('it did not happen within 8 s')
    await sleep(20)
  }
}

async function token (room: string, identity: string): Promise<string> {
  const token = new AccessToken(server.apiKey, server.apiSecret, { identity })
  token.addGrant({ roomJoin: true, room })
  return token.toJwt()
}
