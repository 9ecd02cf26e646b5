// History and audit (D7): what was, who did it, who was refused, and how long it is kept.
import pino from 'pino'
import t from 'tap'
import { createRetention } from '../src/sessions/retention.ts'
import { appFor, databaseFor, environment, livekitFor, movableClock, notFound, notYours, problem, queryFor, sameProblem, unauthorized } from './helper.ts'

const livekit = await livekitFor(t)
const databaseUrl = await databaseFor(t)
const clock = movableClock()
const app = await appFor(t, environment(livekit, databaseUrl, { MAX_SESSIONS_PER_USER: '2' }), clock)
const query = await queryFor(t, databaseUrl)
const list = async (user: string, search = '', claims = {}) => app.as(user, claims).inject({ url: `/api/v1/sessions${search}` })
const admin = { role: 'admin' }
const idOf = async (room: string) => (await query('select id from sessions where room_name = $1', [room]))[0].id as string

t.test('one\'s own sessions, newest first, page by page, filtered', async (t) => {
  const rooms: string[] = []
  const times: number[] = []
  for (let n = 0; n < 5; n++) {
    const { room_name: room } = (await app.as('alice').start({ agent_type: n % 2 ? 'diet' : 'workout' })).json()
    rooms.unshift(room)
    times.unshift(clock.now())
    if (n < 4) await app.as('alice').end(room)
    clock.advance(60_000)
  }
  await app.as('bert').start()

  const whole = (await list('alice')).json()
  t.same(whole.sessions.map((session: any) => session.room_name), rooms)
  t.equal(whole.next_cursor, null)
  t.same(whole.sessions[1], {
    id: await idOf(rooms[1]!),
    mode: 'voice',
    room_name: rooms[1],
    user_id: 'alice',
    agent_type: 'diet',
    state: 'ended',
    end_reason: 'user',
    agent: { state: 'dispatched', dispatches: 1, joined_at: null },
    transcript: null,
    recording: null,
    ingress: null,
    created_at: new Date(times[1]!).toISOString(),
    ended_at: new Date(times[1]!).toISOString(),
    expires_at: new Date(Math.ceil(times[1]! / 1000 + 21_600) * 1000).toISOString()
  })

  const paged: string[] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const page: { sessions: Array<{ room_name: string }>, next_cursor: string | null } = (await list('alice', `?limit=2${cursor && `&cursor=${cursor}`}`)).json()
    paged.push(...page.sessions.map((session) => session.room_name))
    cursor = page.next_cursor
  }
  t.same(paged, rooms)
  const found = async (search: string) => (await list('alice', search)).json().sessions.length
  t.equal(await found('?state=live'), 1)
  t.equal(await found('?state=ended'), 4)
  t.equal(await found('?mode=video'), 0)
  t.equal(await found(`?from=${new Date(times[1]!).toISOString()}`), 2)
  t.equal(await found(`?to=${new Date(times[1]!).toISOString()}`), 3)

  const foreign = (await list('alice', '?limit=1')).json().next_cursor
  t.ok((await list('bert', `?cursor=${foreign}`)).json().sessions.every((session: any) => session.user_id === 'bert'), 'a cursor of others shows nothing of theirs')
})

t.test('odd questions are refused', async (t) => {
  for (const search of ['?limit=0', '?limit=101', '?limit=1e1', '?limit=+1', '?limit=5&limit=6', '?page=2', '?state=dead', '?mode=', '?from=yesterday', '?cursor=a.b', '?from=2016-12-31T23:59:60Z', '?from=2026-01-01T00:00:00%2B05', '?to=0000-01-01T00:00:00Z', '?to=2026-13-01T00:00:00Z', '?from=2026-01-01']) {
    const response = await list('alice', search)
    t.match(response.json(), problem(400, 'Bad Request', 'validation-failed', 'The request does not have the form that is asked for.'), search)
  }
  for (const cursor of ['AAAA', Buffer.from('zz.not-a-uuid').toString('base64url'), Buffer.from('zzzzzzzzzz.7d1b6c0e-6a3c-4a53-9f6e-0d8f2f6f4f11').toString('base64url')]) {
    sameProblem(t, await list('alice', `?cursor=${cursor}`), problem(400, 'Bad Request', 'bad-cursor', 'The cursor is not one of this list.'))
  }
  sameProblem(t, await list('alice', '?user_id=bert'), problem(403, 'Forbidden', 'admin-only', 'Only an administrator may do this.'))
  sameProblem(t, await app.inject({ url: '/api/v1/sessions' }), unauthorized)
})

t.test('a session with its events: one\'s own, or any for an administrator', async (t) => {
  const { room_name: room } = (await app.as('carl').start()).json()
  const url = `/api/v1/sessions/${await idOf(room)}`
  const detail = (await app.as('carl').inject({ url })).json()
  t.match(detail, { room_name: room, state: 'live', end_reason: null, ended_at: null })
  t.same(detail.events, [{ at: new Date(clock.now()).toISOString(), type: 'session.started', actor: 'user:carl', data: { mode: 'voice', agent_type: 'general' } }])
  sameProblem(t, await app.as('eve').inject({ url }), notYours)
  t.equal((await app.as('root', admin).inject({ url })).json().room_name, room)
  t.match((await app.as('carl').inject({ url })).json().events.slice(1), [{ type: 'access.denied', actor: 'user:eve', data: { operation: 'getSession' } }, { type: 'admin.read', actor: 'admin:root', data: { operation: 'getSession' } }])
  sameProblem(t, await app.as('carl').inject({ url: '/api/v1/sessions/7d1b6c0e-6a3c-4a53-9f6e-0d8f2f6f4f11' }), notFound)
  for (const odd of ['not-an-id', 'urn:uuid:7d1b6c0e-6a3c-4a53-9f6e-0d8f2f6f4f11', '{7d1b6c0e-6a3c-4a53-9f6e-0d8f2f6f4f11}', '7d1b6c0e6a3c4a539f6e0d8f2f6f4f11']) {
    t.equal((await app.as('carl').inject({ url: `/api/v1/sessions/${odd}` })).statusCode, 400, odd)
  }
  t.equal((await app.as('carl').inject({ url: url.toUpperCase().replace('/API/V1/SESSIONS', '/api/v1/sessions') })).statusCode, 200, 'RFC 9562: either case')
})

t.test('administrators see all and end any, and that is on record', async (t) => {
  const { room_name: room } = (await app.as('dora').start()).json()
  const id = await idOf(room)
  const everybody = (await list('root', '?limit=100', admin)).json().sessions
  t.ok(new Set(everybody.map((session: any) => session.user_id)).size >= 3)
  t.same((await list('root', '?user_id=dora', { roles: ['staff', 'admin'] })).json().sessions.map((session: any) => session.id), [id])

  sameProblem(t, await app.as('eve').inject({ method: 'DELETE', url: `/api/v1/sessions/${id}` }), notYours)
  t.same((await app.as('root', admin).inject({ method: 'DELETE', url: `/api/v1/sessions/${id}` })).json(), { status: 'ended', id })
  sameProblem(t, await app.as('root', admin).inject({ method: 'DELETE', url: `/api/v1/sessions/${id}` }), notFound)
  sameProblem(t, await app.as('eve').inject({ url: `/api/v1/sessions/${id}` }), notFound)
  t.match(await query('select end_reason, ended_by from sessions where id = $1', [id]), [{ end_reason: 'admin', ended_by: 'admin:root' }])
  t.match((await app.as('dora').inject({ url: `/api/v1/sessions/${id}` })).json().events.at(-1), { type: 'access.denied', actor: 'user:eve' })
  t.match(await query('select actor, data from session_events where session_id = $1 and type = $2', [id, 'session.ended']), [{ actor: 'admin:root', data: { reason: 'admin' } }])

  const own = (await app.as('dora').start()).json()
  t.equal((await app.as('dora').inject({ method: 'DELETE', url: `/api/v1/sessions/${await idOf(own.room_name)}` })).statusCode, 200)
  t.match(await query('select end_reason from sessions where room_name = $1', [own.room_name]), [{ end_reason: 'user' }])
})

t.test('a stranger who knocks a thousand times leaves four lines, and hides nothing', async (t) => {
  const { room_name: room } = (await app.as('gina').start()).json()
  const url = `/api/v1/sessions/${await idOf(room)}`
  for (let n = 0; n < 1040; n++) await app.as('eve').inject({ url })
  const { events, events_cursor: cursor } = (await app.as('gina').inject({ url })).json()
  t.match(events.map(({ type, data }: any) => [type, data]), [
    ['session.started', {}],
    ['access.denied', { operation: 'getSession' }],
    ['access.denied', { operation: 'getSession', count: 10 }],
    ['access.denied', { operation: 'getSession', count: 100 }],
    ['access.denied', { operation: 'getSession', count: 1000 }]
  ])
  t.equal(events.length, 5)
  t.equal(cursor, null)
  clock.advance(3_600_000)
  await app.as('eve').inject({ url })
  t.match((await app.as('gina').inject({ url })).json().events.at(-1), { type: 'access.denied', actor: 'user:eve' }, 'the next hour is told anew')
})

t.test('events page by page, the latest first', async (t) => {
  const { room_name: room } = (await app.as('hal').start()).json()
  const id = await idOf(room)
  await query(`insert into session_events (session_id, user_id, at, type, actor, data)
    select $1, 'hal', $2, 'participant.joined', 'livekit', jsonb_build_object('n', n) from generate_series(1, 2500) n`, [id, new Date(clock.now())])
  const seen: any[] = []
  let cursor: string | null = ''
  const sizes: number[] = []
  while (cursor !== null) {
    const page: { events: any[], events_cursor: string | null } = (await app.as('hal').inject({ url: `/api/v1/sessions/${id}${cursor && `?events_cursor=${cursor}`}` })).json()
    seen.unshift(...page.events)
    sizes.push(page.events.length)
    cursor = page.events_cursor
  }
  t.same(sizes, [1000, 1000, 501])
  t.equal(seen[0].type, 'session.started')
  t.same(seen.slice(1).map(({ data }) => data.n), Array.from({ length: 2500 }, (_, n) => n + 1))
  for (const odd of ['AAAA', Buffer.from('-1').toString('base64url'), Buffer.from('9'.repeat(30)).toString('base64url')]) {
    sameProblem(t, await app.as('hal').inject({ url: `/api/v1/sessions/${id}?events_cursor=${odd}` }), problem(400, 'Bad Request', 'bad-cursor', 'The cursor is not one of this list.'))
  }
})

t.test('who looked, whose role was missing, and which tokens were given again is on record', async (t) => {
  const lines = async (user: string) => query('select type, actor, data from session_events where actor like $1 order by id', [`%:${user}`])
  for (let n = 0; n < 2; n++) await list('auditor', '?user_id=alice', admin)
  await list('auditor', '', admin)
  t.same(await lines('auditor'), [
    { type: 'admin.read', actor: 'admin:auditor', data: { operation: 'listSessions', user: 'alice' } },
    { type: 'admin.read', actor: 'admin:auditor', data: { operation: 'listSessions' } }
  ])
  await list('mallory', '?user_id=alice')
  await app.as('mallory').inject({ method: 'POST', url: '/api/v1/counselor-categories', payload: { name: 'x' } })
  await app.as('mallory').inject({ url: '/api/v1/counselor-categories?all=true' })
  t.same((await lines('mallory')).map(({ type, data }) => [type, data]), ['listSessions', 'createCounselorCategory', 'listCounselorCategories'].map((operation) => ['access.denied', { operation }]))
  for (let n = 0; n < 2; n++) await app.as('ivan').start({}, { 'idempotency-key': 'k' })
  t.same((await lines('ivan')).map(({ type, data }) => [type, data]), [['session.started', { mode: 'voice', agent_type: 'general' }], ['token.issued', { replayed: true }]])
})

t.test('the trail is append-only, for the service\'s own role, too', async (t) => {
  for (const statement of ['update session_events set actor = \'nobody\'', 'delete from session_events', 'truncate session_events']) {
    await t.rejects(query(statement), { message: 'session_events is append-only', code: '42501' }, statement)
  }
})

t.test('a category that cannot be put on record is not changed', async (t) => {
  const root = app.as('root', admin)
  const { id } = (await root.inject({ method: 'POST', url: '/api/v1/counselor-categories', payload: { name: 'Sleep' } })).json()
  await query('alter table session_events add constraint nothing_more check (type <> \'category.changed\') not valid')
  t.equal((await root.inject({ method: 'PATCH', url: `/api/v1/counselor-categories/${id}`, payload: { name: 'Dreams' } })).statusCode, 500)
  await query('alter table session_events drop constraint nothing_more')
  t.same(await query('select name from counselor_categories where id = $1', [id]), [{ name: 'Sleep' }])
})

t.test('refused starts are on record', async (t) => {
  for (let n = 0; n < 3; n++) await app.as('finn').start()
  t.same(await query('select session_id, type, actor, data from session_events where user_id = $1 and type = $2', ['finn', 'access.denied']),
    [{ session_id: null, type: 'access.denied', actor: 'user:finn', data: { reason: 'too_many_sessions' } }])
})

t.test('what is over is kept for RETENTION_DAYS, then deleted in small batches', async (t) => {
  await query(`insert into sessions (id, mode, room_name, user_id, request_id, agent_state, created_at, expires_at, ended_at, state, end_reason, slot)
    select gen_random_uuid(), 'voice', 'old-' || n, 'old', 'r', 'none', $1::timestamptz, $1, $1, 'ended', 'user', 1 from generate_series(1, 1200) n`, [new Date(clock.now())])
  const before = (await query('select count(*)::int as n from sessions where ended_at is null'))[0].n
  await query('update sessions set next_check_at = $1 where room_name = \'old-1\'', [new Date(clock.now() + 40 * 86_400_000)])
  await query('update sessions set ingress_check_at = $1 where room_name = \'old-2\'', [new Date(clock.now() + 40 * 86_400_000)])
  const prune = () => app.retention.prune()
  clock.advance(29 * 86_400_000)
  await prune()
  t.equal((await query('select 1 from sessions where user_id = \'old\'')).length, 1200)
  clock.advance(86_400_000 + 1)
  await prune()
  t.same(await query('select room_name from sessions where user_id = \'old\' order by room_name'), [{ room_name: 'old-1' }, { room_name: 'old-2' }], 'what is still looked at stays')
  t.same(await query('select 1 from session_events'), [])
  t.equal((await query('select count(*)::int as n from sessions where ended_at is null'))[0].n, before, 'what goes on stays')
})

t.test('one round of that at a time; one that is under way at a stop goes no further, and is waited for', async (t) => {
  const rounds: Array<() => void> = []
  t.intercept(globalThis, 'setInterval', { value: (round: () => void) => { rounds.push(round); return { unref () {} } } })
  const deleted: Array<(count: number) => void> = []
  let swept = 0
  const retention = createRetention({ store: { prune: () => new Promise((resolve) => { deleted.push(resolve) }) }, clock, log: pino({ level: 'silent' }), days: 30, sweep: async () => { swept++ } })
  retention.start()
  for (const round of [...rounds, ...rounds]) round()
  t.equal(deleted.length, 1, 'the second round waits for the first')
  let isOver = false
  const stopped = Promise.resolve(retention.stop()).then(() => { isOver = true })
  await new Promise(setImmediate)
  t.notOk(isOver)
  deleted[0]!(500)
  await stopped
  t.same({ asked: deleted.length, swept }, { asked: 1, swept: 0 })
})
