// Everything of a user: given out whole, and gone whole, but for the line that says so.
import { createHash } from 'node:crypto'
import t from 'tap'
import { startReceiver } from '../dev/webhooks/receiver.ts'
import { appFor, databaseFor, environment, livekitFor, movableClock, problem, queryFor, sameProblem } from './helper.ts'

const livekit = await livekitFor(t)
const databaseUrl = await databaseFor(t)
const clock = movableClock()
const app = await appFor(t, environment(livekit, databaseUrl, { WEBHOOK_ALLOW_PRIVATE: 'true', VOICE_AGENT_NAME: '' }), clock)
const query = await queryFor(t, databaseUrl)
const admin = app.as('root', { role: 'admin' })
const exported = (user: string, as = app.as(user)) => as.inject({ url: `/api/v1/users/${user}/export` })
const erase = (user: string, as = app.as(user)) => as.inject({ method: 'DELETE', url: `/api/v1/users/${user}/data` })
const adminOnly = problem(403, 'Forbidden', 'admin-only', 'Only an administrator may do this.')

/** Every row of every table in which the text occurs. */
async function trace (text: string) {
  const found: string[] = []
  for (const table of ['sessions', 'participants', 'session_events', 'webhook_deliveries', 'usage_days', 'erasures']) {
    for (const { row } of await query(`select to_jsonb(r)::text as row from ${table} r where to_jsonb(r)::text like '%' || $1 || '%'`, [text])) found.push(`${table}: ${row}`)
  }
  return found
}

/** Until the looks after an end are over. */
async function lookedAt () {
  for (const seconds of [1, 1, 2, 4, 4, 6, 30]) {
    clock.advance(seconds * 1000)
    await app.reconciler.reconcile()
  }
}

t.test('a user takes everything away, and nobody else does but an administrator, on record', async (t) => {
  const { room_name: room } = (await app.as('alice').start()).json()
  const id = (await query('select id from sessions where room_name = $1', [room]))[0].id
  await query('insert into participants (session_id, sid, identity, kind, joined_at) values ($1, \'PA_1\', \'alice\', \'STANDARD\', $2)', [id, new Date(clock.now())])
  await app.as('alice').status((await app.as('bert').start()).json().room_name)
  await app.as('alice').end(room)
  const whole = await exported('alice')
  t.equal(whole.statusCode, 200)
  t.equal(whole.headers['content-type'], 'application/json; charset=utf-8')
  const { sessions, events, acts, messages } = whole.json()
  t.match(sessions, [{ id, room_name: room, user_id: 'alice', state: 'ended', end_reason: 'user', participants: [{ identity: 'alice', kind: 'STANDARD' }] }])
  t.same(events.map(({ type }: any) => type), ['session.started', 'session.ended'])
  t.match(acts, [{ type: 'access.denied', actor: 'user:alice' }])
  t.same(messages, [])
  t.equal(sessions.length + acts.length, 2)

  sameProblem(t, await exported('alice', app.as('eve')), adminOnly)
  sameProblem(t, await erase('alice', app.as('eve')), adminOnly)
  t.equal((await exported('alice', admin)).json().sessions.length, 1)
  t.match(await query('select actor from session_events where type = \'admin.read\''), [{ actor: 'admin:root' }])
  t.same((await exported('nobody')).json(), { sessions: [], events: [], acts: [], messages: [], usage: [], transcripts: [], recordings: [] })
})

t.test('erased: live sessions end, every row goes, others\' lines lose the name, the deletion stays on record', async (t) => {
  const receiver = await startReceiver({ answer: () => 500 })
  t.teardown(() => receiver.stop())
  const { secret } = (await admin.inject({ method: 'POST', url: '/api/v1/webhook-endpoints', payload: { url: receiver.url, events: ['session.started', 'session.ended'] } })).json()
  receiver.options.secret = secret
  const { room_name: first } = (await app.as('zara-17').start()).json()
  await app.as('zara-17').start()
  const { room_name: others } = (await app.as('bert').start()).json()
  await app.as('zara-17').status(others) // refused, in bert's trail
  await app.as('root', { role: 'admin' }).inject({ url: '/api/v1/sessions?user_id=zara-17' }) // looked at, in root's trail
  const rootActs = (await query('select count(*)::int as n from session_events where actor = \'admin:root\''))[0].n

  t.same((await erase('zara-17')).json(), { status: 'erasing' })
  sameProblem(t, await app.as('zara-17').status(first), problem(404, 'Not Found', 'session-not-found', 'Session not found'))
  t.ok((await trace('zara-17')).every((row) => /^(sessions|webhook_deliveries|erasures):/.test(row)), 'what is left is watched, or on its way')
  t.notSame(await trace('zara-17'), [])

  await lookedAt()
  await app.retention.prune()
  t.ok((await trace('zara-17')).length > 0, 'a message is on its way still')
  receiver.options.answer = () => 200
  clock.advance(60_000)
  await app.outbox.deliver()
  t.same(receiver.received.map(({ body }) => body.type).slice(-4).sort(), ['session.ended', 'session.ended', 'session.started', 'session.started'])
  await app.retention.prune()
  t.same(await trace('zara-17'), [])
  await query('delete from webhook_endpoints')
  const subject = createHash('sha256').update('zara-17').digest('hex')
  t.match(await query('select user_id, actor, data from session_events where type = \'user.erased\''), [{ user_id: null, actor: 'user:erased', data: { subject } }])
  t.match(await query('select actor from session_events where type = \'access.denied\' and user_id = \'bert\' order by id desc limit 1'), [{ actor: 'user:erased' }])
  t.equal((await query('select count(*)::int as n from session_events where actor = \'admin:root\''))[0].n, rootActs, 'what the administrator did stays')
  t.equal((await app.as('bert').status(others)).statusCode, 200, 'others are as they were')
})

t.test('what an administrator did stays without the name; what begins after the wish stays', async (t) => {
  const { room_name: room } = (await app.as('carl').start()).json()
  const { id } = (await query('select id from sessions where room_name = $1', [room]))[0]
  await app.as('boss-9', { role: 'admin' }).inject({ method: 'DELETE', url: `/api/v1/sessions/${id}` })
  t.same((await erase('boss-9', admin)).json(), { status: 'erased' })
  t.same(await trace('boss-9'), [])
  t.match(await query('select ended_by from sessions where id = $1', [id]), [{ ended_by: 'admin:erased' }])
  t.match(await query('select actor, data from session_events where type = \'user.erased\' order by id desc limit 1'), [{ actor: 'admin:root', data: { subject: createHash('sha256').update('boss-9').digest('hex') } }])

  await erase('dan', app.as('chief-3', { role: 'admin' }))
  await erase('chief-3', admin)
  t.same(await trace('chief-3'), [], 'nor does a deletion name who made it, once that one is deleted, too')

  clock.advance(1000)
  await app.as('carl').start()
  await erase('carl')
  clock.advance(1000)
  const { room_name: later } = (await app.as('carl').start()).json()
  await lookedAt()
  await app.retention.prune()
  t.same((await exported('carl')).json().sessions.map((session: any) => session.room_name), [later])
})

t.test('a user who is called as those are whose name was taken away is not meant by their lines', async (t) => {
  const anonymous = async () => (await query('select actor from session_events where actor in (\'user:erased\', \'admin:erased\')')).length
  const before = await anonymous()
  t.ok(before > 0)
  t.same((await exported('erased')).json().acts, [])
  t.same((await erase('erased')).json(), { status: 'erased' })
  t.equal(await anonymous(), before + 1)
  t.same(await query('select 1 from erasures where user_id = \'erased\''), [])
})

t.test('a database that is away is a problem document, not half an export', async (t) => {
  await query('alter table sessions rename to away')
  t.teardown(() => query('alter table away rename to sessions'))
  const response = await exported('alice')
  t.equal(response.statusCode, 500)
  t.equal(response.headers['content-type'], 'application/problem+json')
})

t.test('the trail lets a name go and nothing else', async (t) => {
  await query('begin')
  await query('select set_config(\'livekit_sessions.retention\', \'on\', true)')
  for (const change of ['type = \'session.ended\'', 'actor = \'user:mallory\'', 'data = \'{}\'', 'at = at + interval \'1 s\'', 'user_id = \'mallory\'']) {
    await query('savepoint here')
    await t.rejects(query(`update session_events set ${change} where type = 'session.started'`), { message: 'session_events is append-only' }, change)
    await query('rollback to here')
  }
  await query('rollback')
})
