// The seven stories of part A and their errors, through the real app, on a real LiveKit and a real PostgreSQL.
import fc from 'fast-check'
import t from 'tap'
import { ParticipantInfo_Kind as Kind, ParticipantInfo_State as State } from '@livekit/protocol'
import { AccessToken, RoomServiceClient } from 'livekit-server-sdk'
import { joinRoom } from '../dev/livekit/participant.ts'
import { startTestWorker } from '../dev/livekit/test-worker.ts'
import { appFor, claimsOf, databaseFor, environment, eventually, livekitFor, notFound, notYours, problem, queryFor, sameProblem, unauthorized, userToken } from './helper.ts'

const livekit = await livekitFor(t)
const databaseUrl = await databaseFor(t)
const app = await appFor(t, environment(livekit, databaseUrl))
const query = await queryFor(t, databaseUrl)
const rooms = new RoomServiceClient(livekit.url, livekit.apiKey, livekit.apiSecret)
const base = '/api/v1/voice-sessions'

t.test('start: a room, a token and an agent on its way (A1 to A3)', async (t) => {
  const worker = await startTestWorker({ url: livekit.url, apiKey: livekit.apiKey, apiSecret: livekit.apiSecret, agentName: 'voice-agent' })
  t.teardown(() => worker.stop())
  const before = Date.now()
  const response = await app.as('alice').start({ agent_type: 'workout' })

  t.equal(response.statusCode, 200)
  t.equal(response.headers['cache-control'], 'no-store')
  const started = response.json()
  t.strictSame(Object.keys(started).sort(), ['agent_type', 'expires_at', 'livekit_url', 'room_name', 'token'])
  t.match(started.room_name, /^fitness-voice-alice-[0-9a-f]{32}$/)
  t.equal(started.livekit_url, livekit.url)
  t.equal(started.agent_type, 'workout')

  const { exp, nbf, ...claims } = claimsOf(started.token)
  t.same(claims, { iss: livekit.apiKey, sub: 'alice', name: 'alice@example.com', video: { roomJoin: true, room: started.room_name, canPublish: true, canSubscribe: true, canPublishData: true } })
  t.equal(exp - nbf, 21_600)
  t.equal(started.expires_at, new Date(exp * 1000).toISOString())

  const [room] = await rooms.listRooms([started.room_name])
  t.equal(room!.emptyTimeout, 300)
  t.equal(room!.maxParticipants, 2)
  t.equal(room!.departureTimeout, 60)
  const { created_at: createdAt, ...metadata } = JSON.parse(room!.metadata)
  t.same(metadata, { user_id: 'alice', agent_type: 'workout', mode: 'voice' })
  t.ok(Date.parse(createdAt) >= before && Date.parse(createdAt) <= Date.now())

  const job = await eventually(() => worker.jobs[0])
  const [row] = await query('select * from sessions where room_name = $1', [started.room_name])
  t.same(JSON.parse(job!.metadata), { session_id: row.id, room_name: started.room_name, user_id: 'alice', mode: 'voice', agent_type: 'workout', request_id: response.headers['x-request-id'], dispatch: 1 })
  t.match(row, { state: 'live', room_sid: room!.sid, slot: 1, agent_state: 'dispatched', agent_dispatches: 1 })
  t.same((await query('select type, actor, data from session_events where session_id = $1', [row.id])),
    [{ type: 'session.started', actor: 'user:alice', data: { mode: 'voice', agent_type: 'workout' } }])

  const line = app.logs.find((line) => line.msg === 'voice session started' && line.roomName === started.room_name)
  t.match(line, { level: 30, userId: 'alice', agentType: 'workout', reqId: response.headers['x-request-id'] })

  const user = await joinRoom({ url: started.livekit_url, token: started.token })
  t.equal(user.identity, 'alice')
  const status = await eventually(async () => {
    const answer = (await app.as('alice').status(started.room_name)).json()
    return answer.participants === 2 && answer
  })
  t.same(status, { room_name: started.room_name, active: true, participants: 2, agent_connected: true, created_at: createdAt })
  t.same((await app.as('alice').active()).json(), { sessions: [{ room_name: started.room_name, agent_type: 'workout', participants: 2, created_at: createdAt }] })

  t.same((await app.as('alice').end(started.room_name)).json(), { status: 'ended', room_name: started.room_name })
  t.equal(await user.disconnected, 'ROOM_DELETED')
  await t.rejects(joinRoom({ url: started.livekit_url, token: started.token }), 'the token opens nothing any more')
})

t.test('the agent type is general when nothing is said, with or without a body', async (t) => {
  for (const payload of [undefined, {}]) t.equal((await app.as('bert').start(payload)).json().agent_type, 'general')
  const json = { method: 'POST' as const, url: `${base}/start`, headers: { 'content-type': 'application/json' } }
  t.equal((await app.as('bert').inject(json)).json().agent_type, 'general')
})

t.test('any other agent type, key or shape is refused (A3.5), and nothing is made of it', async (t) => {
  const count = async () => (await query('select count(*)::int as n from sessions'))[0].n
  const before = await count()
  const invalid = { ...problem(400, 'Bad Request', 'validation-failed', 'The request does not have the form that is asked for.') }
  for (const [body, error] of [
    [{ agent_type: 'doctor' }, { in: 'body', path: '/agent_type', message: 'must be equal to one of the allowed values' }],
    [{ agent_type: null }, { in: 'body', path: '/agent_type', message: 'must be string' }],
    [{ agent_type: 1 }, { in: 'body', path: '/agent_type', message: 'must be string' }],
    [{ agentType: 'diet' }, { in: 'body', path: '', message: 'must NOT have additional properties' }],
    [[], { in: 'body', path: '', message: 'must be object' }]
  ] as const) sameProblem(t, await app.as('carl').start(body), { ...invalid, errors: [error] })
  sameProblem(t, await app.as('carl').start({}, { 'idempotency-key': 'x'.repeat(256) }), { ...invalid, errors: [{ in: 'headers', path: '', message: 'must match pattern "^[\\x21-\\x7e]{1,255}$"' }] })
  t.equal(await count(), before)
})

t.test('a stream that comes in by ingress is neither user nor agent', async (t) => {
  const started = (await app.as('ines').start()).json()
  const token = new AccessToken(livekit.apiKey, livekit.apiSecret, { identity: 'IN_camera' })
  token.kind = 'ingress'
  token.addGrant({ roomJoin: true, room: started.room_name })
  const stream = await joinRoom({ url: livekit.url, token: await token.toJwt() })
  await eventually(async () => (await rooms.listParticipants(started.room_name)).some(({ kind, state }) => kind === Kind.INGRESS && state === State.ACTIVE))
  const { created_at: createdAt, ...status } = (await app.as('ines').status(started.room_name)).json()
  t.same(status, { room_name: started.room_name, active: false, participants: 0, agent_connected: false })
  t.match((await app.as('ines').active()).json(), { sessions: [{ room_name: started.room_name, participants: 0, created_at: createdAt }] })
  await app.reconciler.reconcile()
  t.same(await query('select identity from participants p join sessions s on s.id = p.session_id where room_name = $1', [started.room_name]), [])
  await stream.leave()
})

t.test('status: only the owner, only while it lives (A4)', async (t) => {
  const { room_name: room } = (await app.as('dora').start()).json()
  const [{ created_at: createdAt }] = await query('select created_at from sessions where room_name = $1', [room])
  t.same((await app.as('dora').status(room)).json(), { room_name: room, active: false, participants: 0, agent_connected: false, created_at: createdAt.toISOString() })
  sameProblem(t, await app.as('eve').status(room), notYours)
  sameProblem(t, await app.as('dora').status('fitness-voice-dora-none'), notFound)
  t.match((await query('select actor, data from session_events where type = $1 and session_id = (select id from sessions where room_name = $2)', ['access.denied', room])), [{ actor: 'user:eve' }])

  await rooms.deleteRoom(room)
  sameProblem(t, await app.as('dora').status(room), notFound)
  t.match((await query('select state, end_reason from sessions where room_name = $1', [room])), [{ state: 'ended', end_reason: 'lost' }])
  sameProblem(t, await app.as('eve').status(room), notFound)
})

t.test('end: the owner\'s, once; the room is gone from LiveKit (A5)', async (t) => {
  const { room_name: room } = (await app.as('finn').start()).json()
  sameProblem(t, await app.as('eve').end(room), notYours)
  t.equal((await rooms.listRooms([room])).length, 1)

  const response = await app.as('finn').end(room)
  t.equal(response.statusCode, 200)
  t.same(response.json(), { status: 'ended', room_name: room })
  t.same(await rooms.listRooms([room]), [])
  sameProblem(t, await app.as('finn').end(room), notFound)
  sameProblem(t, await app.as('finn').status(room), notFound)
  sameProblem(t, await app.as('eve').end(room), notFound)
  t.same((await app.as('finn').active()).json(), { sessions: [] })
  const [row] = await query('select * from sessions where room_name = $1', [room])
  t.match(row, { state: 'ended', end_reason: 'user', ended_by: 'user:finn' })
  t.ok(app.logs.some((line) => line.msg === 'voice session ended' && line.roomName === room && line.level === 30))
})

t.test('active: one\'s own, whatever else the server holds (A6)', async (t) => {
  t.same((await app.as('gina').active()).json(), { sessions: [] })
  const first = (await app.as('gina').start({ agent_type: 'diet' })).json()
  const second = (await app.as('gina').start({ agent_type: 'tracker' })).json()
  await app.as('hugo').start()
  await rooms.createRoom({ name: 'fitness-voice-gina-forged', metadata: JSON.stringify({ user_id: 'gina', agent_type: 'diet', mode: 'voice', created_at: new Date() }) })

  const mine = async () => (await app.as('gina').active()).json().sessions.map(({ room_name: name, agent_type: type, participants }: any) => ({ name, type, participants }))
  t.same(await mine(), [{ name: second.room_name, type: 'tracker', participants: 0 }, { name: first.room_name, type: 'diet', participants: 0 }])
  await rooms.deleteRoom(first.room_name)
  t.same(await mine(), [{ name: second.room_name, type: 'tracker', participants: 0 }], 'one whose room is gone is not listed')
  sameProblem(t, await app.as('gina').status('fitness-voice-gina-forged'), notFound)
})

t.test('401 without or with a bad token, on every call (A7)', async (t) => {
  const calls = [['POST', '/start'], ['GET', '/room/status'], ['DELETE', '/room'], ['GET', '/active']] as const
  for (const [method, path] of calls) {
    for (const authorization of [undefined, 'Bearer nonsense', `Bearer ${userToken('alice', { exp: 1 })}`]) {
      const response = await app.inject({ method, url: base + path, headers: authorization ? { authorization } : {} })
      sameProblem(t, response, unauthorized)
      t.equal(response.headers['www-authenticate'], authorization ? 'Bearer realm="livekit-sessions", error="invalid_token"' : 'Bearer realm="livekit-sessions"')
    }
  }
})

t.test('a join token is no user token', async (t) => {
  const { token } = (await app.as('ivan').start()).json()
  const response = await app.inject({ url: `${base}/active`, headers: { authorization: `Bearer ${token}` } })
  sameProblem(t, response, unauthorized)
})

t.test('Idempotency-Key: the same start gives the same room and a fresh, equivalent token (D3)', async (t) => {
  const jane = app.as('jane')
  const key = { 'idempotency-key': 'a-key-of-jane' }
  const first = await jane.start({ agent_type: 'diet' }, key)
  const again = await jane.start({ agent_type: 'diet' }, key)
  t.equal(first.headers['idempotent-replayed'], undefined)
  t.equal(again.headers['idempotent-replayed'], 'true')
  t.equal(again.json().room_name, first.json().room_name)
  const { exp: _1, nbf: _2, ...one } = claimsOf(first.json().token)
  const { exp, nbf: _3, ...two } = claimsOf(again.json().token)
  t.same(two, one)
  const [{ expires_at: expiresAt }] = await query('select expires_at from sessions where room_name = $1', [first.json().room_name])
  t.ok(exp * 1000 <= expiresAt.getTime(), 'never beyond the session')

  sameProblem(t, await jane.start({ agent_type: 'tracker' }, key), problem(422, 'Unprocessable Entity', 'idempotency-key-reused', 'This Idempotency-Key was used for a different request. Use a new key.'))
  const other = await app.as('kurt').start({ agent_type: 'diet' }, key)
  t.not(other.json().room_name, first.json().room_name, 'keys are the user\'s own')

  await jane.end(first.json().room_name)
  sameProblem(t, await jane.start({ agent_type: 'diet' }, key), problem(409, 'Conflict', 'started-session-ended', 'The session that this Idempotency-Key started has ended. Use a new key to start another.'))
})

t.test('a conversation in writing, in a language: the token allows no microphone, the agent is told, a token again is the same', async (t) => {
  const worker = await startTestWorker({ url: livekit.url, apiKey: livekit.apiKey, apiSecret: livekit.apiSecret, agentName: 'voice-agent' })
  t.teardown(() => worker.stop())
  const lars = app.as('lars')
  const key = { 'idempotency-key': 'in-writing' }
  const asked = { agent_type: 'diet', text_only: true, language: 'de-AT' }
  const first = (await lars.start(asked, key)).json()
  const grant = { roomJoin: true, room: first.room_name, canPublish: false, canSubscribe: true, canPublishData: true }
  t.same(claimsOf(first.token).video, grant)
  const job = await eventually(() => worker.jobs[0])
  t.match(JSON.parse(job!.metadata), { agent_type: 'diet', text_only: true, language: 'de-AT' })

  const again = await lars.start(asked, key)
  t.equal(again.headers['idempotent-replayed'], 'true')
  t.same(claimsOf(again.json().token).video, grant)
  const rejoined = (await lars.inject({ method: 'POST', url: `${base}/${first.room_name}/token` })).json()
  t.same(claimsOf(rejoined.token).video, grant)
  for (const other of [{ ...asked, text_only: false }, { ...asked, language: 'de' }, { agent_type: 'diet' }]) t.equal((await lars.start(other, key)).statusCode, 422)

  const { sessions: [record] } = (await lars.inject({ url: '/api/v1/sessions?limit=1' })).json()
  t.match(record, { language: 'de-AT', text_only: true })
  for (const [wish, path] of [[{ language: 'German' }, '/language'], [{ language: 'd' }, '/language'], [{ text_only: 'yes' }, '/text_only']] as const) {
    const refused = await lars.start(wish)
    t.equal(refused.statusCode, 400)
    t.match(refused.json().errors, [{ in: 'body', path }])
  }
})

t.test('a start that is still running answers 409; one whose starter died is finished by the retry', async (t) => {
  const lena = app.as('lena')
  const key = { 'idempotency-key': 'half-done' }
  const row = async (createdAt: Date) => {
    await query('delete from sessions where user_id = $1', ['lena'])
    await query(`insert into sessions (id, mode, room_name, user_id, agent_type, idempotency_key, request_id, agent_state, created_at, expires_at, next_check_at, state, slot)
      values (gen_random_uuid(), 'voice', 'fitness-voice-lena-half', 'lena', 'general', 'half-done', 'r', 'none', $1, $1, $1::timestamptz + interval '40 s', 'starting', 1)`, [createdAt])
  }
  await row(new Date())
  const busy = await lena.start({}, key)
  const running = { ...problem(409, 'Conflict', 'start-in-progress', 'A start with this Idempotency-Key is still running. Try again in a moment.'), retry_after: 1 }
  sameProblem(t, busy, running)
  t.equal(busy.headers['retry-after'], '1')

  await row(new Date(Date.now() - 8000))
  const [first, second] = (await Promise.all([lena.start({}, key), lena.start({}, key)])).sort((a, b) => a.statusCode - b.statusCode)
  t.match(first!.json(), { room_name: 'fitness-voice-lena-half' })
  // One of them takes it over. The other comes while that is under way, or after it.
  if (second!.statusCode === 409) sameProblem(t, second!, running)
  else t.match(second!.json(), { room_name: 'fitness-voice-lena-half' })
  t.match((await lena.start({}, key)).json(), { room_name: 'fitness-voice-lena-half' })
  t.match(await query('select state from sessions where user_id = $1', ['lena']), [{ state: 'live' }])
})

t.test('100 starts at once by one user: 5 rooms, 95 refusals; with one key: one room, also at the limit (D3, D4)', async (t) => {
  const own = (await appFor(t, environment(livekit, databaseUrl))).as('mona') // a second replica on the same database
  const both = [app.as('mona'), own]
  const count = async () => (await rooms.listRooms()).filter((room) => room.name.startsWith('fitness-voice-mona-')).length

  const key = { 'idempotency-key': 'once' }
  const keyed = await Promise.all(Array.from({ length: 100 }, (_, n) => both[n % 2]!.start({}, key)))
  const done = keyed.filter((response) => response.statusCode === 200)
  t.equal(await count(), 1)
  t.equal(new Set(done.map((response) => response.json().room_name)).size, 1)
  t.ok(keyed.every((response) => response.statusCode === 200 || response.json().type.endsWith('start-in-progress')))

  const unkeyed = await Promise.all(Array.from({ length: 100 }, (_, n) => both[n % 2]!.start()))
  t.equal(unkeyed.filter((response) => response.statusCode === 200).length, 4)
  t.equal(await count(), 5)
  const refused = unkeyed.filter((response) => response.statusCode === 429)
  t.equal(refused.length, 96)
  for (const response of refused.slice(0, 3)) {
    sameProblem(t, response, { ...problem(429, 'Too Many Requests', 'too-many-sessions', 'You have as many sessions as one user may have. End one to start another.'), limit: 5, retry_after: 60 })
    t.equal(response.headers['retry-after'], '60')
  }
  const replay = await app.as('mona').start({}, key)
  t.equal(replay.statusCode, 200, 'a replay is answered at the limit')
  t.equal(await count(), 5)

  await own.end(replay.json().room_name)
  t.equal((await app.as('mona').start()).statusCode, 200, 'an ended session frees its slot')
  t.equal(await count(), 5)
})

t.test('START_LIMIT_PER_MINUTE holds when all come at once', async (t) => {
  const limited = (await appFor(t, environment(livekit, databaseUrl, { START_LIMIT_PER_MINUTE: '10', MAX_SESSIONS_PER_USER: '100' }))).as('olga')
  const statuses = (await Promise.all(Array.from({ length: 60 }, () => limited.start()))).map((response) => response.statusCode)
  t.equal(statuses.filter((status) => status === 200).length, 10)
  t.equal(statuses.filter((status) => status === 429).length, 50)
})

t.test('START_LIMIT_PER_MINUTE counts starts, not replays', async (t) => {
  const limited = (await appFor(t, environment(livekit, databaseUrl, { START_LIMIT_PER_MINUTE: '2' }))).as('nina')
  const key = { 'idempotency-key': 'n' }
  for (let n = 0; n < 5; n++) t.equal((await limited.start({}, key)).statusCode, 200)
  t.equal((await limited.start()).statusCode, 200)
  const refused = await limited.start()
  t.match(refused.json(), { ...problem(429, 'Too Many Requests', 'too-many-starts', 'You have started too many sessions in the last minute. Wait before the next one.'), limit: 2 })
  const wait = Number(refused.headers['retry-after'])
  t.ok(wait > 50 && wait <= 60)
  t.equal((await limited.start({}, key)).statusCode, 200, 'replays go on')
})

t.test('names, tokens and metadata hold for any user (A9)', async (t) => {
  const ids = fc.stringMatching(/^[A-Za-z0-9._~:@|+=_-]{1,128}$/)
  const names = new Set<string>()
  await fc.assert(fc.asyncProperty(ids, fc.emailAddress(), fc.constantFrom('workout', 'diet', 'supplement', 'tracker', 'scheduler', 'general'), async (id, email, type) => {
    const user = app.as(id, { email })
    const response = await user.start({ agent_type: type })
    const { room_name: room, token } = response.json()
    t.notOk(names.has(room), 'room names never repeat')
    names.add(room)
    const { sub, name, video } = claimsOf(token)
    t.same({ sub, name, video }, { sub: id, name: email, video: { roomJoin: true, room, canPublish: true, canSubscribe: true, canPublishData: true } })
    const [held] = await rooms.listRooms([room])
    t.match(JSON.parse(held!.metadata), { user_id: id, agent_type: type, mode: 'voice' }, 'metadata survives its round trip')
    t.match((await user.active()).json().sessions, [{ room_name: room }], 'a listing holds one\'s own only')
    t.equal((await user.active()).json().sessions.length, 1)
    t.equal((await user.end(encodeURIComponent(room))).statusCode, 200)
  }), { numRuns: 100 })
})

t.test('a thousand foreign rooms change neither the listing nor what it asks of LiveKit (D6)', async (t) => {
  const pete = app.as('pete')
  await pete.start()
  const asked = async () => {
    const before = await livekitCalls()
    const answer = (await pete.active()).json()
    return { answer, calls: await livekitCalls() - before }
  }
  const alone = await asked()
  const metadata = JSON.stringify({ user_id: 'pete', agent_type: 'diet', mode: 'voice' })
  for (let n = 0; n < 1000; n += 50) await Promise.all(Array.from({ length: 50 }, (_, m) => rooms.createRoom({ name: `fitness-voice-pete-${n + m}`, metadata })))
  t.same(await asked(), alone)
  t.equal(alone.calls, 2, 'one ListParticipants, one ListRooms by name')
  t.equal(alone.answer.sessions.length, 1)
})

async function livekitCalls () {
  const metric = (await app.metrics.getMetricsAsJSON()).find(({ name }) => name === 'livekit_requests_total')
  return metric!.values.reduce((sum, { value }) => sum + value, 0)
}

t.test('no token, secret or idempotency key in any log line, at trace level too', async (t) => {
  const config = environment(livekit, databaseUrl, { LOG_LEVEL: 'trace' })
  const own = await appFor(t, config)
  const key = 'key-that-nobody-may-read'
  const { token, room_name: room } = (await own.as('quin').start({}, { 'idempotency-key': key })).json()
  await own.as('quin').start({ agent_type: 'diet' }, { 'idempotency-key': key })
  await own.as('quin').status(room)
  await own.as('rita').end(room)
  await own.as('quin').end(room)
  await own.inject({ url: `${base}/active`, headers: { authorization: `Bearer ${token}` } })
  const logged = JSON.stringify(own.logs)
  t.ok(own.logs.length > 5)
  for (const secret of [token, userToken('quin'), key, config.LIVEKIT_API_SECRET, config.JWT_SECRET!, 'Bearer ']) t.notOk(logged.includes(secret))
})

t.test('HEAD works where GET does', async (t) => {
  const response = await app.as('olga').inject({ method: 'HEAD', url: `${base}/active` })
  t.equal(response.statusCode, 200)
  t.equal(response.body, '')
})
