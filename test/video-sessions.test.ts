// Part B, by its numbers: video sessions with an avatar, on a real LiveKit with a real worker, and the categories behind them.
import { RoomServiceClient } from 'livekit-server-sdk'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { joinRoom } from '../dev/livekit/participant.ts'
import { startTestWorker, type Behaviour } from '../dev/livekit/test-worker.ts'
import { defaultPrompt } from '../src/sessions/categories.ts'
import { modes, appFor, claimsOf, databaseFor, environment, eventually, failed, livekitFor, notFound, notYours, problem, queryFor, sameProblem, unauthorized } from './helper.ts'

const livekit = await livekitFor(t)
const databaseUrl = await databaseFor(t)
const config = environment(livekit, databaseUrl, { VIDEO_DISPATCH_TIMEOUT: '2', MAX_SESSIONS_PER_USER: '200' })
const app = await appFor(t, config)
const query = await queryFor(t, databaseUrl)
const rooms = new RoomServiceClient(livekit.url, livekit.apiKey, livekit.apiSecret)
const admin = { role: 'admin' }
const categoryNotFound = problem(404, 'Not Found', 'category-not-found', 'Counselor category not found or disabled')

const category = async (payload: object, of = app) => (await of.as('root', admin).inject({ method: 'POST', url: '/api/v1/counselor-categories', payload })).json()
const create = (user: string, id: string, { path = '/api/v1/video', headers = {}, claims = {}, of = app } = {}) =>
  of.as(user, claims).inject({ method: 'POST', url: `${path}/create-room`, payload: { counselor_category: id }, headers })

async function workerFor (t: Test, behaviour: Behaviour) {
  const worker = await startTestWorker({ url: livekit.url, apiKey: livekit.apiKey, apiSecret: livekit.apiSecret, agentName: 'avatar-agent', behaviour })
  t.teardown(() => worker.stop())
  return worker
}

t.test('B1, B2, B5: room, token, record and log', async (t) => {
  const worker = await workerFor(t, { attributes: { avatar: 'ready' } })
  const { id } = await category({ name: 'Study stress', description: 'Exams', system_prompt: 'Only ever about exams.' })
  for (const path of ['/api/v1/video', '/api/video']) {
    const response = await create('alice', id, { path, claims: { username: 'ally' } })
    t.equal(response.statusCode, 200, response.body)
    const created = response.json()
    t.strictSame(Object.keys(created).sort(), ['access_token', 'room_name', 'room_url', 'session_id'])
    t.match(created.session_id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
    t.equal(created.room_name, `video-${created.session_id}`)
    t.equal(created.room_url, livekit.url.replace('ws://', 'http://'))
    const { exp, nbf, ...claims } = claimsOf(created.access_token)
    t.same(claims, { iss: livekit.apiKey, sub: 'alice', name: 'Student_ally', video: { roomJoin: true, room: created.room_name, canPublish: true, canPublishSources: ['microphone'], canSubscribe: true, canPublishData: true } })
    t.equal(exp - nbf, 86_400)

    const [room] = await rooms.listRooms([created.room_name])
    t.match(room, { emptyTimeout: 300, maxParticipants: 2 })
    t.match(JSON.parse(room!.metadata), { user_id: 'alice', mode: 'video', counselor_category: 'Study stress' })
    t.match(await query('select mode, state, category_id, category_name, agent_type, user_id from sessions where id = $1', [created.session_id]),
      [{ mode: 'video', state: 'live', category_id: id, category_name: 'Study stress', agent_type: null, user_id: 'alice' }])
    t.match(app.logs.find((line) => line.msg === 'video session started' && line.roomName === created.room_name), { level: 30, userId: 'alice', category: 'Study stress', reqId: response.headers['x-request-id'] })

    const job = worker.jobs.find(({ room }) => room === created.room_name)!
    t.same(JSON.parse(job.metadata), { session_id: created.session_id, room_name: created.room_name, user_id: 'alice', mode: 'video', counselor_category: 'Study stress', system_prompt: 'Only ever about exams.', request_id: response.headers['x-request-id'], dispatch: 1 })
    t.notMatch(room!.metadata + created.access_token + response.body + Buffer.from(created.access_token.split('.')[1], 'base64url') + JSON.stringify(app.logs), /Only ever about/, 'the prompt travels in the dispatch only')
  }
})

t.test('B2: the name is username, else preferred_username, else the e-mail\'s local part', async (t) => {
  await workerFor(t, 'accept')
  const { id } = await category({ name: 'Names' })
  const nameOf = async (claims: object) => claimsOf((await create('bert', id, { claims })).json().access_token).name
  t.equal(await nameOf({ username: 'one', preferred_username: 'two' }), 'Student_one')
  t.equal(await nameOf({ preferred_username: 'two' }), 'Student_two')
  t.equal(await nameOf({ email: 'three@example.com' }), 'Student_three')
})

t.test('B2: microphone yes, camera and screen no, says the real server', async (t) => {
  await workerFor(t, 'accept')
  const { id } = await category({ name: 'Sources' })
  const { room_name: room, access_token: token } = (await create('carl', id)).json()
  const user = await joinRoom({ url: livekit.url, token, publish: true })
  const tracks = async () => (await rooms.getParticipant(room, 'carl')).tracks.map(({ source }) => source)
  await eventually(async () => (await tracks()).length === 1)
  t.same(await tracks(), [2], 'MICROPHONE')
  for (const source of ['camera', 'screen_share'] as const) await t.rejects(user.publishVideo(source), `${source} is refused`)
  t.same(await tracks(), [2])
})

t.test('B3: the category must be there and enabled', async (t) => {
  const { id } = await category({ name: 'Off', enabled: false })
  sameProblem(t, await create('dora', id), categoryNotFound)
  sameProblem(t, await create('dora', '7d1b6c0e-6a3c-4a53-9f6e-0d8f2f6f4f11'), categoryNotFound)
  const invalid = await create('dora', 'not-a-uuid')
  sameProblem(t, invalid, { ...problem(400, 'Bad Request', 'validation-failed', 'The request does not have the form that is asked for.'), errors: [{ in: 'body', path: '/counselor_category', message: 'must match format "uuid"' }] })
  t.equal((await app.as('dora').inject({ method: 'POST', url: '/api/v1/video/create-room' })).statusCode, 400)
  sameProblem(t, await app.inject({ method: 'POST', url: '/api/video/create-room', payload: { counselor_category: id } }), unauthorized)
  t.same(await query('select 1 from sessions where user_id = \'dora\''), [])
})

t.test('D3: a start whose category was disabled meanwhile is had again with its key, and with no other', async (t) => {
  await workerFor(t, { attributes: { avatar: 'ready' } })
  const { id } = await category({ name: 'Soon off' })
  const first = await create('doris', id, { headers: { 'idempotency-key': 'k' } })
  await app.as('root', admin).inject({ method: 'PATCH', url: `/api/v1/counselor-categories/${id}`, payload: { enabled: false } })
  const again = await create('doris', id, { headers: { 'idempotency-key': 'k' } })
  t.equal(again.statusCode, 200, again.body)
  t.equal(again.json().room_name, first.json().room_name)
  sameProblem(t, await create('doris', id, { headers: { 'idempotency-key': 'another' } }), categoryNotFound)
  t.equal((await query('select 1 from sessions where user_id = \'doris\'')).length, 1)
})

t.test('B4: without a prompt of its own, the default one', async (t) => {
  const worker = await workerFor(t, 'accept')
  const { id } = await category({ name: 'Plain' })
  const { room_name: room } = (await create('emma', id)).json()
  t.equal(JSON.parse(worker.jobs.find((job) => job.room === room)!.metadata).system_prompt, defaultPrompt)
  for (const word of [/supportive/, /warm/, /eye/, /empathetic/, /professional/, /never judge/, /questions/, /practical guidance/]) t.match(defaultPrompt, word)
})

t.test('B6: no worker, one that refuses, or an avatar that failed: 500 in time, and nothing is left', async (t) => {
  const { id } = await category({ name: 'Nobody' })
  const nothingLeft = async (user: string) => {
    t.match(await query('select state, end_reason from sessions where user_id = $1', [user]), [{ state: 'ended', end_reason: 'start_failed' }])
    t.same((await rooms.listRooms()).filter(({ metadata }) => metadata.includes(`"${user}"`)), [])
  }
  for (const [user, behaviour, cause] of [
    ['nobody', undefined, 'no worker took the dispatch'],
    ['refused', 'refuse', 'no worker took the dispatch'],
    ['broken', { attributes: { avatar: 'failed' } }, 'its avatar failed']
  ] as Array<[string, Behaviour | undefined, string]>) {
    const worker = behaviour && await startTestWorker({ url: livekit.url, apiKey: livekit.apiKey, apiSecret: livekit.apiSecret, agentName: 'avatar-agent', behaviour })
    const began = Date.now()
    const response = await create(user, id, { headers: { 'idempotency-key': 'k' } })
    sameProblem(t, response, failed)
    t.ok(Date.now() - began < 3500, `${user}: ${Date.now() - began} ms`)
    const errors = app.logs.filter((line) => line.reqId === response.headers['x-request-id'] && line.level >= 50)
    t.match(errors, [{ operation: 'startVideoSession', userId: user, roomName: /^video-/, err: { code: 'AGENT_DID_NOT_COME', cause: { message: cause } } }])
    t.equal(errors.length, 1)
    await nothingLeft(user)
    await worker?.stop()
  }
  await workerFor(t, 'accept')
  await eventually(async () => (await create('nobody', id, { headers: { 'idempotency-key': 'k' } })).statusCode === 200, 8000)
})

t.test('B6: an avatar that is still starting at the deadline: yes, voice goes on', async (t) => {
  await workerFor(t, { attributes: { avatar: 'starting' } })
  const { id } = await category({ name: 'Slow face' })
  const began = Date.now()
  t.equal((await create('finn', id)).statusCode, 200)
  t.ok(Date.now() - began >= 900 && Date.now() - began < 3500, `${Date.now() - began} ms`)
})

t.test('status, rejoin, active, end, idempotency: the same machinery as voice', async (t) => {
  const worker = await workerFor(t, { attributes: { avatar: 'ready' } })
  const { id } = await category({ name: 'Life' })
  const headers = { 'idempotency-key': 'gina-1' }
  const created = (await create('gina', id, { headers })).json()
  const replay = await create('gina', id, { headers })
  t.equal(replay.headers['idempotent-replayed'], 'true')
  t.equal(replay.json().room_name, created.room_name)
  const other = await category({ name: 'Other' })
  t.equal((await create('gina', other.id, { headers })).statusCode, 422)

  const gina = app.as('gina')
  const url = (room: string, rest = '') => `/api/v1/video/${room}${rest}`
  const user = await joinRoom({ url: livekit.url, token: created.access_token })
  const status = await eventually(async () => {
    const answer = (await gina.inject({ url: url(created.room_name, '/status') })).json()
    return answer.participants === 2 && answer
  }) as Record<string, unknown>
  const [{ created_at: createdAt }] = await query('select created_at from sessions where id = $1', [created.session_id])
  t.same(status, { room_name: created.room_name, active: true, participants: 2, agent_connected: true, avatar_connected: false, created_at: createdAt.toISOString() })
  t.same((await gina.inject({ url: '/api/v1/video/active' })).json(), { sessions: [{ room_name: created.room_name, counselor_category: 'Life', participants: 2, created_at: createdAt.toISOString() }] })
  t.same((await gina.active()).json(), { sessions: [] }, 'voice lists voice')
  sameProblem(t, await gina.status(created.room_name), notFound)

  const again = (await gina.inject({ method: 'POST', url: url(created.room_name, '/token') })).json()
  t.strictSame(Object.keys(again).sort(), ['access_token', 'room_name', 'room_url', 'session_id'])
  t.same(claimsOf(again.access_token).video, claimsOf(created.access_token).video)
  sameProblem(t, await app.as('eve').inject({ url: url(created.room_name, '/status') }), notYours)
  sameProblem(t, await app.as('eve').inject({ method: 'DELETE', url: url(created.room_name) }), notYours)
  t.equal((await gina.inject({ method: 'DELETE', url: url(created.room_name) })).statusCode, 200)
  t.equal(await user.disconnected, 'ROOM_DELETED')
  sameProblem(t, await gina.inject({ method: 'DELETE', url: url(created.room_name) }), notFound)
  t.match((await gina.inject({ url: '/api/v1/sessions' })).json().sessions[0], { mode: 'video', counselor_category: 'Life', state: 'ended', end_reason: 'user' })
  t.equal(worker.jobs.length, 1)
})

t.test('grants, room names and the https form hold for any user and address', async (t) => {
  const url = fc.tuple(fc.constantFrom('ws', 'wss', 'http', 'https'), fc.domain(), fc.option(fc.integer({ min: 1, max: 65_535 }), { nil: undefined }))
  fc.assert(fc.property(fc.stringMatching(/^[A-Za-z0-9._~:@|+=_-]{1,128}$/), fc.uuid(), url, (user, id, [scheme, host, port]) => {
    const address = `${scheme}://${host}${port ? `:${port}` : ''}`
    t.match(address.replace(/^ws/, 'http'), /^https?:\/\//)
    const { video } = modes
    t.equal(video.roomName(user, id), `video-${id}`)
    t.same(video.grant, { canPublish: true, canPublishSources: ['microphone'], canSubscribe: true, canPublishData: true })
    t.equal(video.participantName({ id: user, name: user, username: user, admin: false }), `Student_${user}`)
  }), { numRuns: 100 })
})

t.test('categories: users choose, administrators change, and it is on record', async (t) => {
  const url = '/api/v1/counselor-categories'
  const root = app.as('root', admin)
  const made = await root.inject({ method: 'POST', url, payload: { name: 'Friends', description: 'About friends', system_prompt: 'secret prompt' } })
  t.equal(made.statusCode, 201)
  const { id, created_at: at, ...rest } = made.json()
  t.same(rest, { name: 'Friends', description: 'About friends', system_prompt: 'secret prompt', enabled: true, updated_at: at })

  const seen = (await app.as('hugo').inject({ url })).json().categories
  t.same(seen.find((one: any) => one.id === id), { id, name: 'Friends', description: 'About friends' })
  t.notMatch(JSON.stringify(seen), /secret prompt/)
  t.match((await root.inject({ url: `${url}?all=true` })).json().categories.find((one: any) => one.id === id), { system_prompt: 'secret prompt', enabled: true })
  t.match((await root.inject({ url: `${url}/${id}` })).json(), { system_prompt: 'secret prompt' })

  t.match((await root.inject({ method: 'PATCH', url: `${url}/${id}`, payload: { enabled: false } })).json(), { id, name: 'Friends', system_prompt: 'secret prompt', enabled: false })
  t.notOk((await app.as('hugo').inject({ url })).json().categories.some((one: any) => one.id === id))
  sameProblem(t, await create('hugo', id), categoryNotFound)
  t.match((await root.inject({ method: 'PATCH', url: `${url}/${id}`, payload: { system_prompt: null, name: 'Friendship' } })).json(), { name: 'Friendship', system_prompt: null, enabled: false })
  t.same((await query('select type, actor, data from session_events where data->>\'category\' = $1 order by id', [id])), [
    { type: 'category.created', actor: 'admin:root', data: { category: id, name: 'Friends' } },
    { type: 'category.changed', actor: 'admin:root', data: { category: id, changed: ['enabled'] } },
    { type: 'category.changed', actor: 'admin:root', data: { category: id, changed: ['system_prompt', 'name'] } }
  ])

  const adminOnly = problem(403, 'Forbidden', 'admin-only', 'Only an administrator may do this.')
  const eve = app.as('eve', { role: 'user', roles: ['administrator'] })
  for (const request of [{ url: `${url}?all=true` }, { url: `${url}/${id}` }, { method: 'POST' as const, url, payload: { name: 'x' } }, { method: 'PATCH' as const, url: `${url}/${id}`, payload: { enabled: true } }]) {
    sameProblem(t, await eve.inject(request), adminOnly)
  }
  for (const payload of [{}, { name: '' }, { name: 1 }, { name: 'x'.repeat(101) }, { enabled: 'true' }, { color: 'red' }, { name: 'nul\u0000' }]) {
    t.equal((await root.inject({ method: 'PATCH', url: `${url}/${id}`, payload })).statusCode, 400, JSON.stringify(payload))
  }
  sameProblem(t, await root.inject({ method: 'PATCH', url: `${url}/7d1b6c0e-6a3c-4a53-9f6e-0d8f2f6f4f11`, payload: { enabled: true } }), categoryNotFound)
})

t.test('B7: a category changed on one replica is used by the other within a second', async (t) => {
  const two = await appFor(t, config)
  const worker = await workerFor(t, 'accept')
  const { id } = await category({ name: 'Replicas', system_prompt: 'old' })
  await create('ivan', id, { of: two })
  await app.as('root', admin).inject({ method: 'PATCH', url: `/api/v1/counselor-categories/${id}`, payload: { system_prompt: 'new' } })
  await new Promise((resolve) => { setTimeout(resolve, 1000) })
  const { room_name: room } = (await create('ivan', id, { of: two })).json()
  t.equal(JSON.parse(worker.jobs.find((job) => job.room === room)!.metadata).system_prompt, 'new')
  await app.as('root', admin).inject({ method: 'PATCH', url: `/api/v1/counselor-categories/${id}`, payload: { enabled: false } })
  await new Promise((resolve) => { setTimeout(resolve, 1000) })
  sameProblem(t, await create('ivan', id, { of: two }), categoryNotFound)
})

t.test('B7: metrics of sessions, agents and calls', async (t) => {
  const { body } = await app.inject('/metrics')
  t.match(body, /^sessions_started_total\{mode="video"\} \d+$/m)
  t.match(body, /^sessions_ended_total\{mode="video",reason="user"\} 1$/m)
  t.match(body, /^sessions_live\{mode="video",state="live"\} \d+$/m)
  t.match(body, /^livekit_requests_total\{method="CreateRoom",outcome="ok"\} \d+$/m)
  t.match(body, /^livekit_request_duration_seconds_bucket\{le="0.1",method="CreateRoom"\} \d+$/m)
  const guarded = await appFor(t, environment(livekit, databaseUrl, { METRICS_TOKEN: 'only-prometheus-may-read' }))
  t.equal((await guarded.inject('/metrics')).statusCode, 401)
  t.equal((await guarded.inject({ url: '/metrics', headers: { authorization: 'Bearer only-prometheus-may-reaD' } })).statusCode, 401)
  t.equal((await guarded.inject({ url: '/metrics', headers: { authorization: 'Bearer only-prometheus-may-read' } })).statusCode, 200)
})
