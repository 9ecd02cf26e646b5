// Streams that come in: one ingress for a session, its key told once, gone with the session whatever fails in between, and counted as nobody.
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { IngressInput } from '@livekit/protocol'
import { AccessToken, RoomServiceClient } from 'livekit-server-sdk'
import { joinRoom } from '../dev/livekit/participant.ts'
import { startIngressEdge } from './helper-ingress.ts'
import { appFor, databaseFor, environment, eventually, listening, livekitFor, movableClock, notFound, notYours, problem, queryFor, sameProblem, webhookOf } from './helper.ts'

const livekit = await livekitFor(t)
const edge = await startIngressEdge(t, livekit)
const databaseUrl = await databaseFor(t)
const clock = movableClock()
const query = await queryFor(t, databaseUrl)
const given = { VOICE_AGENT_NAME: '', LIVEKIT_API_URL: edge.url, INGRESS: 'on', MAX_SESSIONS_PER_USER: '50' }
const app = await appFor(t, environment(livekit, databaseUrl, given), clock)
const exists = problem(409, 'Conflict', 'ingress-exists', 'This session has an ingress. Delete it to make another.')
const unavailable = { ...problem(503, 'Service Unavailable', 'ingress-unavailable', 'Streams cannot be taken in right now. Try again later.'), retry_after: 5 }
const settle = async (after = 0) => {
  clock.advance(after)
  await app.ingress.settle()
}

t.beforeEach(async () => {
  Object.assign(edge, { behaviour: 'works', hold: Promise.resolve(), hasAddress: true, there: [], asked: [] })
  await query('update sessions set ingress_check_at = null')
})

/** A live session, and what there is to do with its ingress. */
async function session (user: string) {
  const { room_name: room, token } = (await app.as(user).start()).json()
  const [{ id }] = await query('select id from sessions where room_name = $1', [room])
  const at = `/api/v1/voice-sessions/${room}/ingress`
  return {
    id: id as string,
    room: room as string,
    token: token as string,
    make: (kind = 'rtmp', as = app.as(user)) => as.inject({ method: 'POST', url: at, payload: { kind } }),
    remove: (as = app.as(user)) => as.inject({ method: 'DELETE', url: at }),
    status: async () => (await app.as(user).status(room)).json().ingress,
    row: async () => (await query('select ingress, ingress_kind, ingress_id, ingress_check_at from sessions where id = $1', [id]))[0],
    events: async () => query('select type, actor, data from session_events where session_id = $1 and type like \'ingress.%\' order by id', [id]),
    end: () => app.as(user).end(room)
  }
}
const none = { ingress: null, ingress_kind: null, ingress_id: null, ingress_check_at: null }

t.test('off by default: refused, and LiveKit is not asked', async (t) => {
  const off = await appFor(t, environment(livekit, databaseUrl, { ...given, INGRESS: '' }))
  const { room_name: room } = (await off.as('otto').start()).json()
  const url = `/api/v1/voice-sessions/${room}/ingress`
  sameProblem(t, await off.as('otto').inject({ method: 'POST', url, payload: { kind: 'rtmp' } }), problem(422, 'Unprocessable Entity', 'ingress-off', 'Streams are not taken in here.'))
  t.same((await off.as('otto').inject({ method: 'DELETE', url })).json(), { status: 'deleted', room_name: room })
  t.same(edge.asked, [])
})

t.test('a LiveKit without Redis takes no streams: that is said, and nothing is left', async (t) => {
  const without = await appFor(t, environment(livekit, databaseUrl, { ...given, LIVEKIT_API_URL: '' }), clock)
  const one = await session('olga')
  sameProblem(t, await one.make('rtmp', without.as('olga')), unavailable)
  t.match(await one.row(), { ingress: null, ingress_id: null })
  const errors = without.logs.filter(({ level }) => level === 50)
  t.match(errors, [{ msg: 'request failed', operation: 'createVoiceSessionIngress', userId: 'olga', sessionId: one.id, err: { code: 'INGRESS_UNAVAILABLE' } }])
  t.match((await without.inject({ url: '/metrics' })).payload, /ingresses_total\{mode="voice",outcome="failed"\} 1/)
  t.equal((await without.as('olga').status(one.room)).statusCode, 200, 'and it is asked on about rooms')
  await one.end()
})

t.test('address and key are told once; one at a time; deleted, another can be made', async (t) => {
  const one = await session('alice')
  t.equal(await one.status(), undefined)
  const made = await one.make('whip')
  t.equal(made.statusCode, 201)
  t.equal(made.headers['cache-control'], 'no-store')
  t.same(made.json(), { room_name: one.room, kind: 'whip', url: 'rtmp://edge/live', stream_key: 'secret-key-1' })
  t.match(edge.there, [{ name: `${one.id}.1`, roomName: one.room, inputType: IngressInput.WHIP_INPUT, participantIdentity: `ingress-${one.id}`, participantName: 'alice@example.com' }])
  sameProblem(t, await one.make(), exists)
  t.equal(edge.there.length, 1)

  t.same(await one.status(), { kind: 'whip', state: 'ready', live: false })
  const { ingress } = (await app.as('alice').inject({ url: `/api/v1/sessions/${one.id}` })).json()
  t.same(ingress, { kind: 'whip', state: 'ready' })
  t.notOk(JSON.stringify([await query('select * from sessions'), await query('select * from session_events'), app.logs]).includes('secret-key'), 'the key is nowhere')

  t.same((await one.remove()).json(), { status: 'deleted', room_name: one.room })
  t.same(edge.there, [])
  t.same(await one.row(), none)
  t.same((await one.remove()).json(), { status: 'deleted', room_name: one.room }, 'again')
  t.equal((await one.make()).json().stream_key, 'secret-key-2')
  t.same(await one.events(), [
    { type: 'ingress.created', actor: 'user:alice', data: { kind: 'whip' } },
    { type: 'ingress.deleted', actor: 'user:alice', data: {} },
    { type: 'ingress.created', actor: 'user:alice', data: { kind: 'rtmp' } }
  ])
  await one.end()
})

t.test('of twenty requests at once one makes it', async (t) => {
  const one = await session('anna')
  const answers = await Promise.all(Array.from({ length: 20 }, () => one.make()))
  t.same(answers.map(({ statusCode }) => statusCode).sort(), [201, ...Array(19).fill(409)])
  t.equal(edge.there.length, 1)
  await one.end()
})

t.test('for the owner of a live session alone', async (t) => {
  const one = await session('bert')
  await one.make()
  for (const other of [app.as('eve'), app.as('root', { role: 'admin' })]) {
    sameProblem(t, await one.make('rtmp', other), notYours)
    sameProblem(t, await one.remove(other), notYours)
  }
  for (const method of ['POST', 'DELETE'] as const) {
    sameProblem(t, await app.as('bert').inject({ method, url: `/api/v1/video/${one.room}/ingress`, ...(method === 'POST' && { payload: { kind: 'rtmp' } }) }), notFound)
  }
  t.equal((await one.make('srt')).statusCode, 400)
  await one.end()
  sameProblem(t, await one.make(), notFound)
  sameProblem(t, await one.remove(), notFound)
})

t.test('gone with its session, whoever ends it', async (t) => {
  const one = await session('carl')
  await one.make()
  await one.end()
  await settle()
  t.same(edge.there, [])
  t.same(await one.row(), none)
  t.match((await app.inject({ url: '/metrics' })).payload, /ingresses_total\{mode="voice",outcome="removed"\} \d/)

  const two = await session('carl')
  await two.make()
  const [{ room_sid: sid }] = await query('select room_sid from sessions where id = $1', [two.id])
  await app.inject(await webhookOf(livekit, { event: 'room_finished', id: 'EV_finished', createdAt: String(Math.floor(clock.now() / 1000)), room: { name: two.room, sid } }))
  await settle()
  t.same(edge.there, [])
})

t.test('an answer that is lost: it is said, another can be made, and the one that nobody knows of is removed', async (t) => {
  const one = await session('dora')
  edge.behaviour = 'loses answers'
  sameProblem(t, await one.make(), unavailable)
  t.equal(edge.there.length, 1)
  edge.behaviour = 'works'
  t.equal((await one.make()).statusCode, 201)
  t.equal(edge.there.length, 2)
  await settle(30_000)
  t.match(edge.there, [{ name: `${one.id}.2` }])
  t.match(await one.row(), { ingress: 'ready', ingress_id: edge.there[0]!.ingressId })
  await one.end()
  await settle()
})

t.test('the same when none is made after, and when the session ends first', async (t) => {
  for (const ends of [false, true]) {
    const one = await session('doug')
    edge.behaviour = 'loses answers'
    await one.make()
    edge.behaviour = 'works'
    if (ends) await one.end()
    await settle(15_000)
    t.same(edge.there, [])
    t.same(await one.row(), none)
    if (!ends) await one.end()
  }
})

t.test('the same when its time is over before the answer is known to be lost: it is looked for all the same', async (t) => {
  const one = await session('dave')
  edge.behaviour = 'loses answers'
  let goOn = () => {}
  edge.hold = new Promise<void>((resolve) => { goOn = resolve })
  const making = one.make()
  await eventually(() => edge.asked.includes('CreateIngress'))
  clock.advance(16_000)
  goOn()
  sameProblem(t, await making, unavailable)
  t.equal(edge.there.length, 1)
  edge.behaviour = 'works'
  await settle()
  t.same(edge.there, [])
  t.same(await one.row(), none)
  await one.end()
})

t.test('LiveKit does not know where streams are sent to: it is said, and nothing is left', async (t) => {
  const one = await session('dina')
  edge.hasAddress = false
  sameProblem(t, await one.make(), unavailable)
  t.same(edge.there, [])
  t.same(await one.row(), none)
  t.match(app.logs.findLast(({ msg }) => msg === 'request failed'), { err: { message: /Streams/, cause: { message: /ingress\.rtmp_base_url/ } } })
  await one.end()
})

t.test('whoever makes one dies in between: it is removed once its time is over, and not before', async (t) => {
  const one = await session('emil')
  await one.make()
  // As its process left it: asked for, the answer not written down.
  await query('update sessions set ingress = \'making\', ingress_id = null, ingress_check_at = $2 where id = $1', [one.id, new Date(clock.now() + 15_000)])
  await settle()
  t.equal(edge.there.length, 1)
  sameProblem(t, await one.make(), exists)
  await settle(15_000)
  t.same(edge.there, [])
  t.match(await one.row(), { ingress: null, ingress_check_at: null })
  await one.end()
})

t.test('ended, or deleted, while it is being made: its key is not given out, and nothing is left', async (t) => {
  for (const [meanwhile, expected] of [['end', notFound], ['remove', problem(409, 'Conflict', 'ingress-deleted', 'The ingress was deleted while it was being made.')]] as const) {
    const one = await session('fred')
    let goOn = () => {}
    edge.hold = new Promise<void>((resolve) => { goOn = resolve })
    const making = one.make()
    await eventually(() => edge.asked.includes('CreateIngress'))
    t.equal((await one[meanwhile]()).statusCode, 200)
    goOn()
    sameProblem(t, await making, expected)
    t.same(edge.there, [])
    await settle(15_000)
    t.same(await one.row(), none)
    edge.asked = []
    if (meanwhile === 'remove') await one.end()
  }
})

t.test('gone in LiveKit while nobody here wanted that: told, and another can be made', async (t) => {
  const one = await session('gina')
  await one.make()
  edge.there = []
  await settle(30_000)
  t.same(await one.row(), none)
  t.same((await one.events()).at(-1), { type: 'ingress.deleted', actor: 'livekit', data: {} })
  t.equal((await one.make()).statusCode, 201)
  await one.end()
  await settle()
})

t.test('an ingress of somebody else in the room is left alone', async (t) => {
  const one = await session('gerd')
  await one.make()
  edge.there.push(edge.there[0]!.clone())
  Object.assign(edge.there[1]!, { ingressId: 'IN_other', name: 'by hand' })
  await one.end()
  await settle()
  t.match(edge.there, [{ ingressId: 'IN_other' }])
})

t.test('LiveKit is away when it is to be removed: it is said, and removed as soon as can be', async (t) => {
  const one = await session('hans')
  await one.make()
  edge.behaviour = 'fails'
  sameProblem(t, await one.remove(), unavailable)
  t.match(await one.status(), { state: 'removing' })
  sameProblem(t, await one.make(), exists)
  edge.behaviour = 'works'
  await settle(1000)
  t.same(edge.there, [])
  t.same(await one.row(), none)

  await one.make()
  edge.behaviour = 'fails'
  t.equal((await one.end()).statusCode, 200, 'an end does not wait for it')
  await settle()
  for (const pause of [5000, 60_000, 600_000]) await settle(pause)
  t.equal(edge.there.length, 1)
  edge.behaviour = 'works'
  await settle(600_000)
  t.same(edge.there, [])
  t.same(await one.row(), none)
})

t.test('what cannot be removed for a day is given up', async (t) => {
  const one = await session('heidi')
  await one.make()
  await one.end()
  edge.behaviour = 'fails'
  await settle(86_400_000)
  t.same(await one.row(), none)
  t.equal(app.logs.filter(({ level, msg, sessionId }) => level === 50 && msg === 'ingress given up: it may be left in LiveKit' && sessionId === one.id).length, 1)
})

t.test('who erases all that is stored of them waits for it to be gone', async (t) => {
  const one = await session('ida')
  await one.make()
  const erase = async () => (await app.as('ida').inject({ method: 'DELETE', url: '/api/v1/users/ida/data' })).json()
  t.same(await erase(), { status: 'erasing' })
  await query('update sessions set next_check_at = null where user_id = \'ida\'')
  t.same(await erase(), { status: 'erasing' })
  await settle()
  t.same(edge.there, [])
  t.same(await erase(), { status: 'erased' })
  t.same(await query('select 1 from sessions where id = $1', [one.id]), [])
})

/** Why somebody is out of the room, or that they are still in. */
const outOf = (one: { disconnected: Promise<string> }) => Promise.race([one.disconnected, sleep(10_000, 'still in', { ref: false })])

/** Somebody pushes: what Ingress makes of it, a participant of its kind. */
async function stream (room: string, identity: string, ingressId: string, at: Pick<typeof livekit, 'url' | 'apiKey' | 'apiSecret'> = livekit) {
  const token = new AccessToken(at.apiKey, at.apiSecret, { identity, attributes: { 'ingress.ingressID': ingressId } })
  token.kind = 'ingress'
  token.addGrant({ roomJoin: true, room, canSubscribe: false })
  return joinRoom({ url: at.url, token: await token.toJwt(), publish: true })
}

t.test('its stream counts as nobody; a stream whose ingress is gone is sent away', async (t) => {
  const one = await session('jane')
  await one.make()
  const pushing = await stream(one.room, `ingress-${one.id}`, edge.there[0]!.ingressId)
  t.match((await app.as('jane').status(one.room)).json(), { active: false, participants: 0, agent_connected: false, ingress: { kind: 'rtmp', state: 'ready', live: true } })
  t.match((await app.as('jane').active()).json().sessions, [{ participants: 0 }])
  const user = await joinRoom({ url: livekit.url, token: one.token })
  t.match((await app.as('jane').status(one.room)).json(), { active: true, participants: 1 })

  clock.advance(15_000)
  await app.reconciler.reconcile()
  t.match(await one.status(), { live: true })
  await one.remove()
  clock.advance(15_000)
  await app.reconciler.reconcile()
  t.equal(await outOf(pushing), 'PARTICIPANT_REMOVED')
  t.equal((await app.as('jane').status(one.room)).json().participants, 1)
  await user.leave()
  await one.end()
})

t.test('a session whose user never came is over when it would be without a stream', async (t) => {
  const one = await session('kurt')
  await one.make()
  const pushing = await stream(one.room, `ingress-${one.id}`, edge.there[0]!.ingressId)
  clock.advance(290_000)
  await app.reconciler.reconcile()
  t.match(await query('select state from sessions where id = $1', [one.id]), [{ state: 'live' }])
  clock.advance(10_000)
  await app.reconciler.reconcile()
  t.match(await query('select state, end_reason, ended_by from sessions where id = $1', [one.id]), [{ state: 'ended', end_reason: 'idle', ended_by: 'service' }])
  t.equal(await outOf(pushing), 'ROOM_DELETED')
  await settle()
  t.same(edge.there, [])
})

t.test('the user leaves and the stream stays: the session ends all the same; who comes back in time goes on', async (t) => {
  const place = await listening(t, { VOICE_AGENT_NAME: '', INGRESS: 'on', RECONCILE_INTERVAL: '1', DEPARTURE_TIMEOUT: '3' })
  await eventually(() => place.app.logs.some(({ level, msg }) => level === 40 && msg === 'LiveKit takes no streams in: it has no Redis, or is away'))
  const started = (await place.app.as('lena').start()).json()
  const rooms = new RoomServiceClient(place.livekit.url, place.livekit.apiKey, place.livekit.apiSecret)
  const join = () => joinRoom({ url: place.livekit.url, token: started.token })
  const first = await join()
  const pushing = await stream(started.room_name, 'somebody-pushes', 'IN_x', place.livekit)
  await first.leave()
  const second = await join()
  await eventually(async () => (await place.query('select count(*)::int as n from participants where kind = \'STANDARD\' and joined_at is not null'))[0].n === 2)
  t.equal((await rooms.listParticipants(started.room_name)).length, 2)
  await second.leave()
  t.equal(await outOf(pushing), 'ROOM_DELETED')
  await eventually(async () => (await place.query('select state from sessions'))[0].state === 'ended')
  const [row] = await place.query('select end_reason, ended_by, ended_at - (select max(left_at) from participants where kind = \'STANDARD\') >= interval \'2 seconds\' as waited from sessions')
  t.same(row, { end_reason: 'idle', ended_by: 'service', waited: true })
})
