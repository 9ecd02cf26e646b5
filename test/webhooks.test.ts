// LiveKit's webhooks: who is believed, what each changes, and that order, doubles and losses do not matter (D6).
import { RoomServiceClient } from 'livekit-server-sdk'
import t, { type Test } from 'tap'
import { startFaultProxy } from '../dev/faults/fault-proxy.ts'
import { freeTcpPort } from '../dev/livekit/livekit.ts'
import { joinRoom } from '../dev/livekit/participant.ts'
import { startTestWorker } from '../dev/livekit/test-worker.ts'
import { appFor, databaseFor, environment, eventually, livekitFor, problem, queryFor, sameProblem, unavailable, webhookOf } from './helper.ts'

const livekit = await livekitFor(t)
const rooms = new RoomServiceClient(livekit.url, livekit.apiKey, livekit.apiSecret)
const databaseUrl = await databaseFor(t)
const app = await appFor(t, environment(livekit, databaseUrl, { MAX_SESSIONS_PER_USER: '1000', VOICE_AGENT_NAME: 'voice-agent' }))
const query = await queryFor(t, databaseUrl)

const notSigned = problem(401, 'Unauthorized', 'webhook-not-signed', 'The webhook is not signed by this LiveKit.')
const seconds = (ms: number) => String(Math.floor(ms / 1000))

/** The four events of a session in which the user came and left. */
function story ({ name, sid }: { name: string, sid: string }, began = Date.now() - 60_000) {
  const room = { name, sid }
  const alice = { sid: `PA_${sid}`, identity: 'alice', joinedAt: seconds(began + 5000), joinedAtMs: String(began + 5000), state: 'ACTIVE' }
  return {
    started: { event: 'room_started', id: `EV_${sid}_1`, createdAt: seconds(began), room },
    joined: { event: 'participant_joined', id: `EV_${sid}_2`, createdAt: seconds(began + 5000), room, participant: alice },
    left: { event: 'participant_left', id: `EV_${sid}_3`, createdAt: seconds(began + 20_000), room, participant: { ...alice, state: 'DISCONNECTED', disconnectReason: 'CLIENT_INITIATED' } },
    finished: { event: 'room_finished', id: `EV_${sid}_4`, createdAt: seconds(began + 30_000), room }
  }
}

async function startedRoom (user: string) {
  const { room_name: name } = (await app.as(user).start()).json()
  const [row] = await query('select id, room_sid from sessions where room_name = $1', [name])
  return { name, sid: row.room_sid as string, id: row.id as string }
}

const send = async (event: object) => app.inject(await webhookOf(livekit, event))

/** What is left of a session, without ids and the times of this run. */
async function state (id: string) {
  const [session] = await query('select state, end_reason, agent_state, user_joined_at from sessions where id = $1', [id])
  const stays = await query('select identity, kind, joined_at, left_at, with_room, hung_up, user_silent from participants where session_id = $1 order by sid', [id])
  const events = await query('select type, count(*)::int as n from session_events where session_id = $1 group by type order by type', [id])
  return { session, stays, events }
}

t.test('only what this LiveKit signed over exactly these bytes', async (t) => {
  const good = await webhookOf(livekit, story(await startedRoom('alice')).joined)
  const other = await webhookOf({ apiKey: livekit.apiKey, apiSecret: 'another-secret-of-32-characters-0123' }, JSON.parse(good.payload))
  const otherKey = await webhookOf({ apiKey: 'other', apiSecret: livekit.apiSecret }, JSON.parse(good.payload))
  const { authorization, ...unsigned } = good.headers
  const join = (await app.as('alice').start()).json().token
  for (const [what, request] of Object.entries({
    'no signature': { ...good, headers: unsigned },
    'another secret': other,
    'another key': otherKey,
    'other bytes': { ...good, payload: good.payload.replace('alice', 'mallory') },
    'with Bearer': { ...good, headers: { ...good.headers, authorization: `Bearer ${authorization}` } },
    'a join token': { ...good, headers: { ...good.headers, authorization: join } }
  })) {
    const response = await app.inject(request)
    t.test(what, async (t) => {
      sameProblem(t, response, notSigned)
      t.equal(response.headers['www-authenticate'], 'Bearer realm="webhooks"')
    })
  }
  t.equal((await app.inject(good)).statusCode, 200)
  t.equal((await app.inject({ ...good, headers: { ...good.headers, 'content-type': 'application/json' } })).statusCode, 200)
  // https://www.rfc-editor.org/rfc/rfc8725#section-3.1
  const [, claims] = good.headers.authorization.split('.')
  for (const alg of ['none', 'None', 'HS512']) {
    const authorization = `${Buffer.from(JSON.stringify({ alg, typ: 'JWT' })).toString('base64url')}.${claims}.`
    sameProblem(t, await app.inject({ ...good, headers: { ...good.headers, authorization } }), notSigned)
  }
  const signedNonsense = await webhookOf(livekit, 'nonsense' as unknown as object)
  t.equal((await app.inject(signedNonsense)).statusCode, 400)
  t.equal((await app.inject({ ...good, headers: { ...good.headers, 'content-type': 'text/plain' } })).statusCode, 415)
  t.equal((await app.inject(await webhookOf(livekit, { event: 'room_started', padding: 'x'.repeat(70_000) }))).statusCode, 413)
  t.equal((await app.inject(await webhookOf(livekit, { ...story({ name: 'r', sid: 's' }).started, padding: 'x'.repeat(40_000) }))).statusCode, 200, '64 KiB are allowed')
})

t.test('what comes as it should asks for no look; what may need one asks for it, and when', async (t) => {
  const room = await startedRoom('fay')
  const { joined, left } = story(room)
  const agent = { sid: 'PA_agent', identity: 'agent-1', kind: 'AGENT', state: 'ACTIVE', joinedAt: joined.createdAt }
  const hour = 'next_check_at = now() + interval \'1 hour\''
  /** Seconds until the next look after an event, 3600 if it asked for none. */
  const lookAfter = async (event: object) => {
    await query(`update sessions set ${hour} where id = $1`, [room.id])
    await send(event)
    return Math.round((await query('select extract(epoch from next_check_at - now())::float8 as s from sessions where id = $1', [room.id]))[0].s)
  }
  await query('update sessions set state = \'starting\', lease_until = now() + interval \'1 hour\' where id = $1', [room.id])
  t.equal(await lookAfter(joined), 3600, 'a start is its starter\'s')
  t.match((await state(room.id)).stays, [{ identity: 'alice' }], 'but it is on record')
  await query('update sessions set state = \'live\', lease_until = \'-infinity\' where id = $1', [room.id])

  const again = (n: number) => ({ ...joined, id: `EV_again_${n}`, participant: { ...joined.participant, sid: `PA_again_${n}` } })
  t.equal(await lookAfter(again(1)), 15, 'a user without an agent: when the agent\'s time is over')
  t.equal(await lookAfter({ ...joined, id: 'EV_agent', participant: agent }), 3600, 'the agent comes')
  t.equal(await lookAfter(again(2)), 3600, 'a user with an agent')
  t.equal(await lookAfter({ ...joined, id: 'EV_second', participant: { ...agent, sid: 'PA_second', identity: 'agent-2' } }), 0, 'a second agent')
  t.equal(await lookAfter({ ...left, id: 'EV_user_left' }), 3600, 'a user leaves')
  t.equal(await lookAfter({ ...left, id: 'EV_closed', participant: { ...agent, state: 'DISCONNECTED', disconnectReason: 'ROOM_CLOSED' } }), 3600, 'who goes with the room is told of by its end')
  t.equal(await lookAfter({ ...left, id: 'EV_agent_left', participant: { ...agent, sid: 'PA_second', identity: 'agent-2', state: 'DISCONNECTED', disconnectReason: 'CLIENT_INITIATED' } }), 0, 'an agent leaves')
  await app.as('fay').end(room.name)
})

t.test('after an end that LiveKit confirmed there is one late look; a room that comes back is looked at now', async (t) => {
  const room = await startedRoom('gil')
  const { finished, started, joined } = story(room)
  await app.as('gil').end(room.name)
  const look = async () => (await query('select finished_at is not null as finished, round(extract(epoch from next_check_at - ended_at))::int as s from sessions where id = $1', [room.id]))[0]
  t.same(await look(), { finished: false, s: 1 })
  await send(finished)
  t.same(await look(), { finished: true, s: 16 })
  await send({ ...started, id: 'EV_back' })
  t.match(await look(), { finished: true, s: 0 })
  await send({ ...finished, id: 'EV_again' })
  t.match(await look(), { s: 0 }, 'a look that is due is not put off')
  await send({ ...joined, id: 'EV_token' })
  t.match(await look(), { s: 0 })
})

t.test('a room that came back is looked for, although the word that the one before is finished comes after', async (t) => {
  const room = await startedRoom('hal')
  const { finished, started, joined } = story(room)
  await app.as('hal').end(room.name)
  await send({ ...started, id: 'EV_back_hal' })
  await send({ ...joined, id: 'EV_in_hal' })
  await query('update sessions set next_check_at = now() + interval \'1 second\' where id = $1', [room.id]) // as a look does that sees nothing yet
  await send(finished)
  const [row] = await query('select finished_at is not null as finished, revived_at is not null as revived, next_check_at < now() + interval \'2 seconds\' as soon from sessions where id = $1', [room.id])
  t.same(row, { finished: true, revived: true, soon: true })
})

t.test('events and rooms that are not ours: 200, counted, nothing stored', async (t) => {
  const before = await query('select count(*)::int as n from session_events')
  const { started, joined } = story({ name: 'of-somebody-else', sid: 'RM_x' })
  t.same((await send(started)).json(), { outcome: 'unknown_room' })
  t.same((await send(joined)).json(), { outcome: 'unknown_room' })
  for (const odd of ['nul\0', '\ud800']) {
    t.same((await send({ ...started, room: { name: odd, sid: 'RM_odd' } })).json(), { outcome: 'ignored' }, 'signed by LiveKit, and none of ours')
    t.same((await send({ ...joined, participant: { ...joined.participant, identity: odd } })).json(), { outcome: 'ignored' })
  }
  t.same((await send({ event: 'egress_started', id: 'EV_e', createdAt: '1' })).json(), { outcome: 'ignored' })
  t.same((await send({ event: 'brand_new', id: 'EV_n', createdAt: '1', room: started.room })).json(), { outcome: 'ignored' })
  t.same(await query('select count(*)::int as n from session_events'), before)
  const metric = (await app.metrics.getMetricsAsJSON()).find(({ name }) => name === 'livekit_webhooks_total')!
  t.match(metric.values.map(({ labels, value }) => ({ ...labels as { event: string }, value })).filter(({ event }) => event === 'other'), [{ event: 'other', outcome: 'ignored', value: 6 }])
})

t.test('1,000 copies of one webhook: one event in the history', async (t) => {
  const room = await startedRoom('bert')
  const { joined } = story(room)
  const request = await webhookOf(livekit, joined)
  const sender = async () => { for (let n = 0; n < 50; n++) if ((await app.inject(request)).statusCode !== 200) t.fail('not 200') }
  await Promise.all(Array.from({ length: 20 }, sender))
  t.same((await state(room.id)).events, [{ type: 'participant.joined', n: 1 }, { type: 'session.started', n: 1 }])
})

t.test('all 24 orders of started, joined, left, finished: one end state', async (t) => {
  const ends = new Set<string>()
  const began = Date.now() - 60_000
  for (const order of permutations(['started', 'joined', 'left', 'finished'] as const)) {
    const room = await startedRoom('carl')
    const events = story(room, began)
    for (const name of order) t.equal((await send(events[name])).statusCode, 200)
    for (const name of order) await send(events[name])
    ends.add(JSON.stringify(await state(room.id)))
  }
  t.equal(ends.size, 1)
  const [end] = [...ends].map((text) => JSON.parse(text))
  t.match(end.session, { state: 'ended', end_reason: 'idle', agent_state: 'dispatched' })
  t.same(end.stays, [{ identity: 'alice', kind: 'STANDARD', joined_at: new Date(began + 5000).toISOString(), left_at: new Date(Math.floor((began + 20_000) / 1000) * 1000).toISOString(), with_room: false, hung_up: false, user_silent: false }])
  t.same(end.events.map(({ type }: any) => type), ['participant.joined', 'participant.left', 'session.ended', 'session.started'])
})

t.test('a room_finished of another room than the session\'s is ignored', async (t) => {
  const room = await startedRoom('dora')
  await send({ ...story(room).finished, room: { name: room.name, sid: 'RM_revived' } })
  t.match((await state(room.id)).session, { state: 'live' })
})

t.test('why it ended: the agent hung up, or its user kept silent; the user was in it, the user had left', async (t) => {
  const agent = (room: { sid: string }, attributes: object = {}) => ({ sid: `PA_agent_${room.sid}`, identity: 'agent-AJ_1', kind: 'AGENT', state: 'ACTIVE', joinedAt: '1700000000', attributes })
  const hungUp = await startedRoom('emma')
  const one = story(hungUp)
  await send(one.joined)
  await send({ ...one.joined, id: 'EV_a1', participant: agent(hungUp) })
  t.match((await state(hungUp.id)).session, { agent_state: 'joined' })
  await send({ ...one.left, id: 'EV_a2', participant: { ...agent(hungUp, { 'session.end': 'agent' }), disconnectReason: 'ROOM_DELETED' } })
  await send(one.finished)
  t.match((await state(hungUp.id)).session, { state: 'ended', end_reason: 'agent' })

  const silent = await startedRoom('ewan')
  const three = story(silent)
  await send(three.joined)
  await send({ ...three.joined, id: 'EV_s1', participant: agent(silent) })
  await send(three.finished)
  t.match((await state(silent.id)).session, { state: 'ended', end_reason: 'lost' }, 'as far as is known')
  await send({ ...three.left, id: 'EV_s2', participant: { ...agent(silent, { 'session.end': 'idle' }), disconnectReason: 'ROOM_DELETED' } })
  t.match((await state(silent.id)).session, { state: 'ended', end_reason: 'idle' }, 'by the word that came late')
  await send({ ...three.left, participant: { ...three.left.participant, disconnectReason: 'ROOM_DELETED' } })
  t.match((await state(silent.id)).session, { state: 'ended', end_reason: 'idle' })

  const lost = await startedRoom('emma')
  const two = story(lost)
  await send(two.joined)
  await send(two.finished)
  t.match((await state(lost.id)).session, { state: 'ended', end_reason: 'lost' })
  await send({ ...two.left, participant: { ...two.left.participant, disconnectReason: 'SERVER_SHUTDOWN' } })
  t.match((await state(lost.id)).session, { state: 'ended', end_reason: 'lost' })
})

t.test('who comes by telephone is the user: seen to come, to be in, and to have left', async (t) => {
  const room = await startedRoom('fred')
  const { joined, left, finished } = story(room)
  const caller = { ...joined.participant, identity: 'sip_+15550100', kind: 'SIP' }
  await send({ ...joined, participant: caller })
  t.ok((await state(room.id)).session.user_joined_at)
  await send({ ...left, participant: { ...left.participant, identity: caller.identity, kind: 'SIP' } })
  await send(finished)
  const { session, stays, events } = await state(room.id)
  t.match(session, { state: 'ended', end_reason: 'idle' })
  t.match(stays, [{ identity: 'sip_+15550100', kind: 'SIP', with_room: false }])
  t.same(events.map(({ type }: any) => type), ['participant.joined', 'participant.left', 'session.ended', 'session.started'])

  const cut = await startedRoom('fred')
  const other = story(cut)
  await send({ ...other.joined, participant: { ...other.joined.participant, kind: 'SIP' } })
  await send(other.finished)
  t.match((await state(cut.id)).session, { state: 'ended', end_reason: 'lost' }, 'with the caller in it')
})

t.test('the avatar is not counted beside its agent', async (t) => {
  const room = await startedRoom('finn')
  const { joined } = story(room)
  await send({ ...joined, participant: { sid: 'PA_bey', identity: 'bey-avatar-agent', kind: 'AGENT', state: 'ACTIVE', attributes: { 'lk.publish_on_behalf': 'agent-AJ_1' } } })
  t.same((await state(room.id)).stays, [])
  t.match((await state(room.id)).session, { agent_state: 'dispatched' })
})

t.test('database away: 503, so that LiveKit sends it again', async (t) => {
  const url = new URL(databaseUrl)
  const proxy = await startFaultProxy({ target: { host: url.hostname, port: Number(url.port) } })
  t.teardown(() => proxy.stop())
  url.port = String(proxy.port)
  const own = await appFor(t, environment(livekit, url.href))
  const room = await startedRoom('gina')
  const request = await webhookOf(livekit, story(room).joined)
  await proxy.fault('reset')
  sameProblem(t, await own.inject(request), { ...unavailable, retry_after: 1 })
  await proxy.fault()
  await eventually(async () => (await own.inject(request)).statusCode === 200)
  t.match((await state(room.id)).stays, [{ identity: 'alice' }])
})

t.test('the real thing: joins, leaves and the end of a real room, told by a real server', async (t: Test) => {
  const port = await freeTcpPort()
  const server = await livekitFor(t, { webhookUrl: `http://127.0.0.1:${port}/api/v1/livekit/webhook` })
  const url = await databaseFor(t)
  const service = await appFor(t, environment(server, url, { PORT: String(port), DEPARTURE_TIMEOUT: '2' }))
  await service.listen({ host: '127.0.0.1', port })
  const ask = await queryFor(t, url)
  const worker = await startTestWorker({ url: server.url, apiKey: server.apiKey, apiSecret: server.apiSecret, agentName: 'voice-agent' })
  t.teardown(() => worker.stop())

  const { room_name: room, token } = (await service.as('hugo').start()).json()
  const user = await joinRoom({ url: server.url, token })
  await eventually(async () => (await ask('select agent_state from sessions'))[0].agent_state === 'joined')
  await user.leave()
  // The agent leaves before the room goes: else its leaving and the room's end come together, and a look may end the session first.
  await worker.stop()
  await eventually(async () => (await ask('select state from sessions'))[0].state === 'ended', 8000)
  t.match(await ask('select state, end_reason, ended_by from sessions'), [{ state: 'ended', end_reason: 'idle', ended_by: 'livekit' }])
  const detail = (await service.as('hugo').inject({ url: `/api/v1/sessions/${(await ask('select id from sessions'))[0].id}` })).json()
  t.match(detail, { room_name: room, state: 'ended', end_reason: 'idle', agent: { dispatches: 1 } })
  const types = detail.events.map(({ type }: any) => type)
  t.same([...types].sort(), ['agent.joined', 'agent.left', 'participant.joined', 'participant.left', 'session.ended', 'session.started'])
  t.equal(types[0], 'session.started')
  t.same(await rooms.listRooms([room]), [])
})

function permutations<T> (items: readonly T[]): T[][] {
  if (items.length === 0) return [[]]
  return items.flatMap((item, n) => permutations([...items.slice(0, n), ...items.slice(n + 1)]).map((rest) => [item, ...rest]))
}
