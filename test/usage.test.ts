// Usage: connection by LiveKit's webhooks, the rest by what agents report; counted once, by session and day; priced, limited, taken away and erased.
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { appFor, databaseFor, environment, livekitFor, movableClock, notFound, problem, queryFor, sameProblem, webhookOf, type TestApp } from './helper.ts'

const livekit = await livekitFor(t)
const databaseUrl = await databaseFor(t)
const noon = Date.UTC(2026, 4, 20, 12)
const clock = movableClock(noon)
const given = { VOICE_AGENT_NAME: '' }
const app = await appFor(t, environment(livekit, databaseUrl, given), clock)
const query = await queryFor(t, databaseUrl)
const admin = app.as('root', { role: 'admin' })

let webhooks = 0
/** A session with a room, and what befalls it; seconds count from its start. */
async function conversation (user: string, on: TestApp = app) {
  const { room_name: room } = (await on.as(user).start()).json()
  const session = (await query('select * from sessions where room_name = $1', [room]))[0]
  const began = clock.now()
  const tell = async (event: string, identity: string, sid: string, joined: number, at: number, reason = 'CLIENT_INITIATED') => {
    const kind = identity.startsWith('agent-') ? 'AGENT' : 'STANDARD'
    const participant = { sid, identity, kind, state: event === 'participant_joined' ? 'ACTIVE' : 'DISCONNECTED', joinedAtMs: String(began + joined * 1000), ...(event === 'participant_left' && { disconnectReason: reason }) }
    const response = await on.inject(await webhookOf(livekit, { id: `EV_${++webhooks}`, event, createdAt: String(Math.floor(began / 1000 + at)), room: { name: room, sid: session.room_sid }, participant }))
    if (response.statusCode !== 200) throw new Error(response.body)
  }
  return {
    id: session.id as string,
    room: room as string,
    report: (writer: string, seq: number, used: Partial<typeof nothing>, token = app.agentTokens.issue(session)) => report(session.id, token, writer, seq, used),
    session,
    comes: (identity: string, sid: string, at: number) => tell('participant_joined', identity, sid, at, at),
    goes: (identity: string, sid: string, joined: number, at: number) => tell('participant_left', identity, sid, joined, at),
    async end (after: number) {
      clock.advance(after * 1000)
      const response = await on.as(user).end(room)
      if (response.statusCode !== 200) throw new Error(response.body)
    }
  }
}

const nothing = { stt_ms: 0, tts_ms: 0, input_tokens: 0, output_tokens: 0, tool_calls: 0 }
const report = (id: string, token: string, writer: string, seq: number, used: Partial<typeof nothing>) =>
  app.inject({ method: 'POST', url: `/api/v1/agent/sessions/${id}/usage`, headers: { authorization: `Bearer ${token}` }, payload: { writer, seq, ...nothing, ...used } })
const usageOf = async (user: string, id: string) => (await app.as(user).inject({ url: `/api/v1/sessions/${id}` })).json().usage
const list = (as: ReturnType<TestApp['as']>, search = '', accept = 'application/json') => as.inject({ url: `/api/v1/usage${search}`, headers: { accept } })
const counted = async (user: string) => {
  await app.usage.settle()
  return (await list(app.as(user))).json().usage
}
const none = { user_seconds: 0, agent_seconds: 0, stt_seconds: 0, tts_seconds: 0, input_tokens: 0, output_tokens: 0, tool_calls: 0, cost: null }

t.test('a session has the seconds of each who was in it, stay by stay, while it goes on and after', async (t) => {
  const call = await conversation('alice')
  await call.comes('agent-1', 'PA_a1', 1)
  await call.comes('alice', 'PA_u1', 2)
  clock.advance(20_000)
  t.same(await usageOf('alice', call.id), {
    ...none, user_seconds: 18, agent_seconds: 19, participants: [{ identity: 'agent-1', kind: 'AGENT', seconds: 19 }, { identity: 'alice', kind: 'STANDARD', seconds: 18 }]
  })
  await call.goes('alice', 'PA_u1', 2, 22)
  await call.comes('alice', 'PA_u2', 30)
  await call.goes('agent-1', 'PA_a1', 1, 40)
  await call.comes('agent-2', 'PA_a2', 41.5)
  await call.end(40)
  const after = { ...none, user_seconds: 20 + 30, agent_seconds: 39 + 18.5, participants: [{ identity: 'agent-1', kind: 'AGENT', seconds: 39 }, { identity: 'alice', kind: 'STANDARD', seconds: 50 }, { identity: 'agent-2', kind: 'AGENT', seconds: 18.5 }] }
  t.same(await usageOf('alice', call.id), after)
  clock.advance(3600_000)
  t.same(await usageOf('alice', call.id), after, 'who was in when it ended was in until then')
  const { participants: _participants, ...day } = after
  t.same(await counted('alice'), [{ day: '2026-05-20', user_id: 'alice', sessions: 1, ...day }])
  t.same(await counted('alice'), [{ day: '2026-05-20', user_id: 'alice', sessions: 1, ...day }], 'once, however often it is counted')

  // LiveKit tells of a leave after the end: it is the same in whatever order it comes.
  await call.goes('alice', 'PA_u2', 30, 50)
  t.match(await usageOf('alice', call.id), { user_seconds: 40 })
  t.match(await counted('alice'), [{ sessions: 1, user_seconds: 40, agent_seconds: 57.5 }])
})

t.test('reports are counted once: repeated, out of order, of two agents, after the end', async (t) => {
  const call = await conversation('bert')
  const [first, second] = [randomUUID(), randomUUID()]
  t.same((await call.report(first, 0, { stt_ms: 1500, input_tokens: 100, output_tokens: 10 })).json(), { status: 'taken' })
  await call.report(first, 2, { stt_ms: 4250, tts_ms: 9000, input_tokens: 300, output_tokens: 30, tool_calls: 2 })
  await call.report(first, 1, { stt_ms: 3000, input_tokens: 200, output_tokens: 20 })
  await call.report(first, 2, { stt_ms: 4250, tts_ms: 9000, input_tokens: 300, output_tokens: 30, tool_calls: 2 })
  t.match(await usageOf('bert', call.id), { stt_seconds: 4.25, tts_seconds: 9, input_tokens: 300, output_tokens: 30, tool_calls: 2 })
  await call.report(second, 0, { tts_ms: 500, input_tokens: 7 })
  t.match(await usageOf('bert', call.id), { stt_seconds: 4.25, tts_seconds: 9.5, input_tokens: 307, output_tokens: 30, tool_calls: 2 })
  await call.end(60)
  t.match(await counted('bert'), [{ sessions: 1, tts_seconds: 9.5, input_tokens: 307 }])

  await call.report(second, 1, { tts_ms: 800, input_tokens: 9 })
  await call.report(second, 0, { tts_ms: 500, input_tokens: 7 })
  t.match(await counted('bert'), [{ sessions: 1, stt_seconds: 4.25, tts_seconds: 9.8, input_tokens: 309, output_tokens: 30, tool_calls: 2 }])
})

t.test('counted while it is told: whatever comes first, the day has it once', async (t) => {
  const { session } = await conversation('carl')
  const rows = await query(`
    insert into sessions select r.* from sessions s, generate_series(1, 60) n, jsonb_populate_record(s, jsonb_build_object(
      'id', gen_random_uuid(), 'room_name', 'room-' || n, 'state', 'ended', 'ended_at', s.created_at, 'end_reason', 'user', 'next_check_at', null)) r where s.id = $1 returning *`, [session.id])
  const writer = randomUUID()
  for (let seq = 0; seq < 12; seq++) {
    await Promise.all(rows.flatMap((row, n) => [report(row.id, app.agentTokens.issue(row), writer, seq, { input_tokens: seq + 1 }), ...(n % 6 === 0 ? [app.usage.settle()] : [])]))
  }
  t.match(await counted('carl'), [{ sessions: 60, input_tokens: 60 * 12 }])
})

t.test('only an agent of the session reports, and no more than it may', async (t) => {
  const call = await conversation('dora')
  const invalid = problem(401, 'Unauthorized', 'agent-token-invalid', 'A valid token of the session\'s agent is required.')
  const token = app.agentTokens.issue(call.session)
  const other = await conversation('dina')
  for (const wrong of ['', 'a.b.c', `${token}x`, app.agentTokens.issue(other.session)]) {
    const refused = await call.report(randomUUID(), 0, {}, wrong)
    sameProblem(t, refused, invalid)
    t.equal(refused.headers['www-authenticate'], 'Bearer realm="agents"')
  }
  t.equal((await app.inject({ url: `/api/v1/sessions/${call.id}`, headers: { authorization: `Bearer ${token}` } })).statusCode, 401)
  for (const payload of [{ writer: 'me' }, { seq: -1 }, { stt_ms: 0.5 }, { input_tokens: 1e13 }, { user_ms: 1 }]) {
    t.equal((await app.inject({ method: 'POST', url: `/api/v1/agent/sessions/${call.id}/usage`, headers: { authorization: `Bearer ${token}` }, payload: { writer: randomUUID(), seq: 0, ...nothing, ...payload } })).statusCode, 400)
  }
  await query('insert into usage_reports select $1, gen_random_uuid(), 0, 0, 0, 0, 0, 0 from generate_series(1, 99)', [call.id])
  const last = randomUUID()
  t.equal((await call.report(last, 0, { input_tokens: 1 })).statusCode, 200)
  sameProblem(t, await call.report(randomUUID(), 0, { input_tokens: 1 }), problem(409, 'Conflict', 'usage-full', 'This session takes no more reports.'))
  t.equal((await call.report(last, 1, { input_tokens: 2 })).statusCode, 200, 'who has begun goes on')
  t.match(await usageOf('dora', call.id), { input_tokens: 2 })
  clock.advance(21_600_000 + 121_000)
  sameProblem(t, await call.report(last, 2, {}, token), invalid)
})

t.test('by day and user: one\'s own, everybody\'s for an administrator, on record; as JSON and CSV, page by page', async (t) => {
  await query('insert into usage_days select u, d::date, 1, 1500, 0, 0, 0, 10, 1, 0 from unnest(array[\'eva\', \'=fred\', \'eva+1\']) u, generate_series(\'2026-03-01\'::date, \'2026-03-04\', \'1 day\') d')
  const line = (day: string, user: string) => ({ day, user_id: user, sessions: 1, ...none, user_seconds: 1.5, input_tokens: 10, output_tokens: 1 })
  t.same((await list(app.as('eva'), '?from=2026-03-02&to=2026-03-04')).json(), { usage: [line('2026-03-02', 'eva'), line('2026-03-03', 'eva')], next_cursor: null })
  t.same((await list(app.as('eva'))).json(), { usage: [], next_cursor: null }, 'of this month when nothing else is asked for')
  sameProblem(t, await list(app.as('eva'), '?user_id=alice'), problem(403, 'Forbidden', 'admin-only', 'Only an administrator may do this.'))
  t.equal((await list(admin, '?from=2026-03-01&to=2026-04-01&user_id=eva')).json().usage.length, 4)
  t.match(await query('select data from session_events where type = \'admin.read\' and data ->> \'operation\' = \'listUsage\''), [{ data: { user: 'eva' } }])

  const pages = []
  for (let search = '?from=2026-03-01&to=2026-04-01&limit=5'; ;) {
    const { usage, next_cursor: next } = (await list(admin, search)).json()
    pages.push(usage)
    if (!next) break
    search = `?from=2026-03-01&to=2026-04-01&limit=5&cursor=${next}`
  }
  t.same(pages.map((page) => page.length), [5, 5, 2])
  t.same(pages.flat().map(({ day, user_id: user }) => `${day} ${user}`), ['01', '02', '03', '04'].flatMap((day) => ['eva', '=fred', 'eva+1'].sort().map((user) => `2026-03-${day} ${user}`)).sort())

  const first = await list(admin, '?from=2026-03-01&to=2026-04-01&limit=11', 'text/csv')
  t.equal(first.headers['content-type'], 'text/csv; charset=utf-8; header=present')
  const rows = first.body.split('\r\n')
  t.equal(rows.length, 13)
  t.same(rows.slice(0, 1), ['day,user_id,sessions,user_seconds,agent_seconds,stt_seconds,tts_seconds,input_tokens,output_tokens,tool_calls,cost,currency'])
  t.ok(rows.includes('2026-03-01,eva,1,1.5,0,0,0,10,1,0,,'))
  const next = /^<(\/api\/v1\/usage\?\S+)>; rel="next"$/.exec(String(first.headers.link))![1]!
  const second = await admin.inject({ url: next, headers: { accept: 'text/csv' } })
  t.equal(second.body.split('\r\n').length, 3)
  t.equal(second.headers.link, undefined)
  t.equal((await list(admin, '', 'image/png')).statusCode, 406)
  for (const search of ['?limit=1001', '?limit=0', '?from=today', '?from=2026-02-30', '?cursor=abc', '?day=2026-03-01', '?from=0000-01-01', ...['2026-02-30.eva', '0000-01-01.eva', '2026-03-01.\0', '2026-03-01.'].map((place) => `?cursor=${Buffer.from(place).toString('base64url')}`)]) t.equal((await list(admin, search)).statusCode, 400, search)
})

t.test('prices from a file, checked at the start', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'prices-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const file = join(folder, 'prices.json')
  const withPrices = (env: NodeJS.ProcessEnv = { PRICES_FILE: file }) => appFor(t, environment(livekit, databaseUrl, { ...given, ...env }), clock)
  await t.rejects(withPrices(), { message: /PRICES_FILE cannot be read/ })
  for (const [text, message] of [['{', /PRICES_FILE cannot be read/], ['{}', /PRICES_FILE is not right: \/currency/], ['{"currency":"EUR","user_minute":-1}', /\/user_minute/], ['{"currency":"EUR","minute":1}', /\/minute/]] as const) {
    await writeFile(file, text)
    await t.rejects(withPrices(), { message })
  }
  await writeFile(file, JSON.stringify({ currency: 'EUR', user_minute: 0.004, agent_minute: 0.01, stt_minute: 0.006, tts_minute: 0.015, million_input_tokens: 0.15, million_output_tokens: 0.6, tool_call: 0.001 }))
  const call = await conversation('gina')
  await call.comes('gina', 'PA_g', 0)
  await call.report(randomUUID(), 0, { stt_ms: 30_000, tts_ms: 20_000, input_tokens: 1_000_000, output_tokens: 500_000, tool_calls: 3 })
  await call.end(90)
  await app.usage.settle()
  const priced = await withPrices()
  const cost = { currency: 'EUR', amount: 0.467 } // 0.006 + 0.003 + 0.005 + 0.15 + 0.3 + 0.003
  t.same((await priced.as('gina').inject({ url: `/api/v1/sessions/${call.id}` })).json().usage.cost, cost)
  t.match((await list(priced.as('gina'))).json().usage, [{ user_id: 'gina', cost }])
  t.match((await list(priced.as('gina'), '', 'text/csv')).body, /,3,0.467,EUR\r\n$/)
})

t.test('minutes of a month are limited: what is counted, what goes on, what ended a moment ago; then a new month begins', async (t) => {
  const limited = await appFor(t, environment(livekit, databaseUrl, { ...given, MONTHLY_MINUTES_PER_USER: '10', MAX_SESSIONS_PER_USER: '3' }), clock)
  const start = (headers = {}) => limited.as('hugo').start({}, headers)
  const refused = async (t: Test) => {
    const response = await start()
    const month = new Date(clock.now())
    const seconds = Math.ceil((Date.UTC(month.getUTCFullYear(), month.getUTCMonth() + 1, 1) - clock.now()) / 1000)
    sameProblem(t, response, { ...problem(429, 'Too Many Requests', 'monthly-limit-reached', 'You have used all your minutes of this month.'), retry_after: seconds, limit: 10 })
    t.equal(response.headers['retry-after'], String(seconds))
  }
  const key = { 'idempotency-key': 'hugo-1' }
  const first = await conversation('hugo', limited)
  await first.comes('hugo', 'PA_h1', 0)
  await first.comes('agent-9', 'PA_h9', 0)
  clock.advance(5 * 60_000)
  const other = (await start(key)).json()
  t.ok(other.room_name)
  clock.advance(5 * 60_000)
  await refused(t)
  t.match(await query('select data from session_events where type = \'access.denied\' and user_id = \'hugo\''), [{ data: { reason: 'monthly_limit_reached' } }])
  t.equal((await start(key)).json().room_name, other.room_name, 'a retry of a start is none')
  t.equal((await limited.as('ida').start()).statusCode, 200, 'others have their own')

  await first.end(0)
  await refused(t)
  await app.usage.settle()
  t.same(await query('select user_ms::int from usage_days where user_id = \'hugo\''), [{ user_ms: 600_000 }])
  await refused(t)
  await first.goes('hugo', 'PA_h1', 0, 599) // it was less, and is not counted yet
  await refused(t)
  await app.usage.settle()
  t.equal((await start()).statusCode, 200, 'a second is left')
  clock.advance(Date.UTC(2026, 5, 1) - clock.now())
  await limited.as('hugo').end(other.room_name)
  t.equal((await start()).statusCode, 200)
  clock.advance(noon + 30_000_000 - clock.now())
})

t.test('taken away, erased, and kept for this month and the last at least', async (t) => {
  const call = await conversation('jana')
  await call.comes('jana', 'PA_j', 0)
  await call.report(randomUUID(), 0, { input_tokens: 5 })
  const { end } = await conversation('jana')
  await call.end(10)
  await end(0)
  await query('insert into usage_days values (\'jana\', \'2026-02-01\', 1, 1, 1, 1, 1, 1, 1, 1)')
  await app.usage.settle()
  const day = (await query('select day::text from usage_days where user_id = \'jana\' order by day desc'))[0].day
  const exported = (await app.as('jana').inject({ url: '/api/v1/users/jana/export' })).json()
  t.match(exported.usage, [{ day: '2026-02-01' }, { day, sessions: 2, user_ms: 10_000, input_tokens: 5 }])
  t.same(exported.usage.map((row: object) => 'user_id' in row || 'id' in row), [false, false])
  t.match(exported.sessions.find(({ id }: { id: string }) => id === call.id).used, [{ input_tokens: 5 }])

  await query('update sessions set next_check_at = null where user_id = \'jana\' and ended_at is not null and id <> $1', [call.id])
  t.same((await app.as('jana').inject({ method: 'DELETE', url: '/api/v1/users/jana/data' })).json(), { status: 'erasing' })
  t.same(await query('select day::text, sessions::int from usage_days where user_id = \'jana\''), [{ day, sessions: 1 }], 'the rest goes with the session that is watched')
  clock.advance(1)
  const later = await conversation('jana')
  await later.comes('jana', 'PA_j2', 0)
  await later.end(3)
  await call.report(randomUUID(), 0, { input_tokens: 2 })
  await app.usage.settle()
  await query('update sessions set next_check_at = null where id = $1', [call.id])
  await app.retention.prune()
  t.same(await query('select day::text, sessions::int, user_ms::int, input_tokens::int from usage_days where user_id = \'jana\''), [{ day, sessions: 1, user_ms: 3000, input_tokens: 0 }], 'what began after the wish stays')
  sameProblem(t, await call.report(randomUUID(), 0, {}), notFound)

  await query('insert into usage_days select \'karl\', d::date, 1, 1, 1, 1, 1, 1, 1, 1 from generate_series(\'2026-03-25\'::date, \'2026-04-05\', \'1 day\') d')
  await app.retention.prune()
  t.same((await query('select min(day)::text as day from usage_days'))[0], { day: '2026-04-01' })
})
