// Transcripts: asked for at the start, written by agents with their token alone, sealed, ready after the end, for the owner alone, gone when deleted.
import { createHmac, randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { AgentDispatchClient, RoomServiceClient } from 'livekit-server-sdk'
import pg from 'pg'
import t, { type Test } from 'tap'
import { startReceiver } from '../dev/webhooks/receiver.ts'
import { createAgentTokens } from '../src/sessions/agent-tokens.ts'
import { jobMetadata } from '../src/sessions/modes.ts'
import type { WrittenLine } from '../src/sessions/transcripts.ts'
import { appFor, claimsOf, configOf, databaseFor, environment, eventually, livekitFor, movableClock, notFound, notYours, problem, queryFor, sameProblem, userToken, type TestApp } from './helper.ts'

const livekit = await livekitFor(t)
const databaseUrl = await databaseFor(t)
const clock = movableClock()
const oldKey = 'XgwbjzetkkZvENizyV56JBgM9uKdc7Rath6A10Msn1o='
const newKey = 'yKHwTnuS02UOi0fPEtWaY3TrCNH2kjylsNceb0gpXDs='
const given = { VOICE_AGENT_NAME: '', WEBHOOK_ALLOW_PRIVATE: 'true', TRANSCRIPTS: 'on', TRANSCRIPT_KEYS: oldKey }
const app = await appFor(t, environment(livekit, databaseUrl, given), clock)
const query = await queryFor(t, databaseUrl)
const admin = app.as('root', { role: 'admin' })

const secret = 'xylophone lessons'
const at = (seconds: number) => new Date(clock.now() + seconds * 1000).toISOString()
const line = (seq: number, text: string, more: Partial<WrittenLine> = {}): WrittenLine => ({ seq, revision: 0, at: at(seq), until: at(seq + 0.5), by: 'agent', text, ...more })

/** A session with a transcript, and the token that its agents have. */
async function conversation (user: string) {
  const { room_name: room } = (await app.as(user).start({ transcript: true })).json()
  const session = (await query('select * from sessions where room_name = $1', [room]))[0]
  return { id: session.id as string, room: room as string, session, token: app.agentTokens.issue(session), end: () => app.as(user).end(room) }
}

/** As the agent with this token: of the session that it names, when nothing else is said. */
function write (token: string, lines: WrittenLine[], { id = claimsOf(token).sub as string, writer = randomUUID() as string, done, on = app }: { id?: string, writer?: string, done?: boolean, on?: TestApp } = {}) {
  return on.inject({ method: 'POST', url: `/api/v1/agent/sessions/${id}/transcript`, headers: { authorization: `Bearer ${token}` }, payload: { writer, lines, ...(done && { done }) } })
}

const read = (user: string, id: string, accept?: string, on: TestApp = app) => on.as(user).inject({ url: `/api/v1/sessions/${id}/transcript`, headers: accept ? { accept } : {} })
const texts = async (user: string, id: string) => (await read(user, id)).json().lines.map(({ by, text }: any) => `${by}: ${text}`)
const remove = (user: string, id: string) => app.as(user).inject({ method: 'DELETE', url: `/api/v1/sessions/${id}/transcript` })
const stateOf = async (user: string, id: string) => (await app.as(user).inject({ url: `/api/v1/sessions/${id}` })).json().transcript
const closed = problem(409, 'Conflict', 'transcript-closed', 'This transcript takes nothing more.')
const noTranscript = problem(404, 'Not Found', 'transcript-not-found', 'This session has no transcript')
const noToken = problem(401, 'Unauthorized', 'agent-token-invalid', 'A valid token of the session\'s agent is required.')

async function receiverFor (t: Test) {
  const receiver = await startReceiver()
  t.teardown(() => receiver.stop())
  const { secret } = (await admin.inject({ method: 'POST', url: '/api/v1/webhook-endpoints', payload: { url: receiver.url, events: ['session.started', 'session.ended', 'transcript.ready'] } })).json()
  receiver.options.secret = secret
  t.teardown(() => query('delete from webhook_endpoints'))
  return receiver
}

t.test('off by default: a start that asks for one is refused, others are as before', async (t) => {
  const off = await appFor(t, environment(livekit, databaseUrl, { VOICE_AGENT_NAME: '' }))
  sameProblem(t, await off.as('otto').start({ transcript: true }), problem(422, 'Unprocessable Entity', 'transcripts-off', 'Transcripts are not kept here. Start without one.'))
  t.equal((await query('select 1 from sessions where user_id = \'otto\'')).length, 0)
  t.equal((await off.as('otto').start()).statusCode, 200)
  t.match(await query('select transcript from sessions where user_id = \'otto\''), [{ transcript: null }])
})

t.test('what is wrong with the keys is said at the start, never the keys', async (t) => {
  const base = environment({ url: 'ws://x', apiKey: 'k', apiSecret: '7f2c19d0b8e64a35910cd7e2f6a8b34c' }, 'postgres://x')
  for (const [env, message] of [
    [{ TRANSCRIPTS: 'on' }, /TRANSCRIPT_KEYS is required with TRANSCRIPTS/],
    [{ TRANSCRIPT_KEYS: 'MTIzNA==' }, /TRANSCRIPT_KEYS is not of the right form/],
    [{ TRANSCRIPT_KEYS: `${'A'.repeat(43)}=` }, /TRANSCRIPT_KEYS holds a placeholder/],
    [{ TRANSCRIPT_KEYS: `${oldKey},${oldKey}` }, /TRANSCRIPT_KEYS has a key twice/],
    [{ TRANSCRIPT_KEYS: newKey, METRICS_TOKEN: newKey }, /TRANSCRIPT_KEYS must differ from the other secrets/]
  ] as const) await t.rejects(configOf({ ...base, ...env }), { message }, String(message))
})

t.test('a transcript is asked for by the start, and by its retries alike', async (t) => {
  const key = { 'idempotency-key': 'one' }
  const first = (await app.as('rita').start({ transcript: true }, key)).json()
  t.equal((await app.as('rita').start({ transcript: true }, key)).json().room_name, first.room_name)
  t.match((await app.as('rita').start({}, key)).json(), { type: 'urn:livekit-sessions:problem:idempotency-key-reused' })
})

t.test('lines are there as soon as they are written, once each, the latest of each, in the order in which they were said', async (t) => {
  const { id, token, end } = await conversation('alice')
  t.match((await read('alice', id)).json(), { session_id: id, state: 'writing', lines: [] })
  const writer = randomUUID()
  const first = line(1, 'What is the weather?', { by: 'user' })
  t.same((await write(token, [first, line(2, 'get_weather', { by: 'tool' })], { writer })).json(), { status: 'written' })
  await write(token, [first], { writer })
  await write(token, [line(3, 'It is snowy.', { revision: 1 })], { writer })
  await write(token, [line(3, 'It is snowy. Dress well.', { revision: 2 }), line(3, 'It is', { revision: 0 })], { writer })
  await write(token, [line(3, 'It is snowy.', { revision: 1 })], { writer }) // a retry that comes late
  t.same(await texts('alice', id), ['user: What is the weather?', 'tool: get_weather', 'agent: It is snowy. Dress well.'])

  // Another agent in its place has its own numbers; what the first one still says is not lost.
  await write(token, [line(1, 'I am back.', { at: at(10), until: at(11) })])
  await write(token, [line(4, 'Are you there?', { by: 'user' })], { writer })
  t.same((await read('alice', id)).json().lines.slice(2), [
    { at: at(3), until: at(3.5), by: 'agent', text: 'It is snowy. Dress well.' },
    { at: at(4), until: at(4.5), by: 'user', text: 'Are you there?' },
    { at: at(10), until: at(11), by: 'agent', text: 'I am back.' }
  ])
  await end()
})

t.test('as captions and as text; in no other form', async (t) => {
  const { id, token, end } = await conversation('bert')
  const began = (await query('select created_at from sessions where id = $1', [id]))[0].created_at.getTime()
  const from = (ms: number) => new Date(began + ms).toISOString()
  await write(token, [
    line(1, 'Is 2 < 3 --> yes\nor & no?', { by: 'user', at: from(1500), until: from(3250) }),
    line(2, 'get_weather', { by: 'tool', at: from(3300), until: from(3300) }),
    line(3, 'Yes.', { at: from(3_723_004), until: from(3_723_004) })
  ])
  const vtt = await read('bert', id, 'text/vtt')
  t.equal(vtt.headers['content-type'], 'text/vtt; charset=utf-8')
  t.equal(vtt.headers.vary, 'accept')
  t.equal(vtt.payload, 'WEBVTT\n\n00:00:01.500 --> 00:00:03.250\n<v user>Is 2 &lt; 3 --&gt; yes or &amp; no?\n\nNOTE tool get_weather\n\n01:02:03.004 --> 01:02:03.005\n<v agent>Yes.\n')
  const plain = await read('bert', id, 'text/plain;q=1, text/vtt;q=0.5')
  t.equal(plain.headers['content-type'], 'text/plain; charset=utf-8')
  t.equal(plain.payload, '[00:00:01] user: Is 2 < 3 --> yes or & no?\n[00:00:03] tool: get_weather\n[01:02:03] agent: Yes.\n')
  t.equal((await read('bert', id, '*/*')).headers['content-type'], 'application/json; charset=utf-8')
  sameProblem(t, await read('bert', id, 'image/png'), problem(406, 'Not Acceptable', 'not-acceptable', 'It can be had as application/json, text/vtt and text/plain.'))
  await end()
})

t.test('for the owner, and to read for administrators; who looked, and what was tried, is on record', async (t) => {
  const { id, token, end } = await conversation('carl')
  await write(token, [line(1, secret)])
  sameProblem(t, await read('eve', id), notYours)
  for (const other of [app.as('eve'), admin]) sameProblem(t, await other.inject({ method: 'DELETE', url: `/api/v1/sessions/${id}/transcript` }), notYours)
  t.match((await admin.inject({ url: `/api/v1/sessions/${id}/transcript` })).json(), { lines: [{ text: secret }] })
  t.same(await query('select actor, data from session_events where session_id = $1 and type = \'admin.read\'', [id]), [{ actor: 'admin:root', data: { operation: 'getTranscript' } }])
  await end()
  sameProblem(t, await read('eve', id), notFound)
  sameProblem(t, await read('carl', randomUUID()), notFound)
  t.same((await query('select actor, data from session_events where session_id = $1 and type = \'access.denied\' order by id limit 2', [id])), [
    { actor: 'user:eve', data: { operation: 'getTranscript' } }, { actor: 'user:eve', data: { operation: 'deleteTranscript' } }])
  t.same(await texts('carl', id), [`agent: ${secret}`])
  const { room_name: room } = (await app.as('carl').start()).json()
  const plain = (await query('select id from sessions where room_name = $1', [room]))[0].id
  sameProblem(t, await read('carl', plain), noTranscript)
  sameProblem(t, await remove('carl', plain), noTranscript)
})

t.test('only a token of the call writes, and only into its own', async (t) => {
  const { id, token, end } = await conversation('dora')
  const other = await conversation('dirk')
  const [head, claims, signature] = token.split('.') as [string, string, string]
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
  const { exp, ...named } = claimsOf(token)
  t.same(named, { aud: 'livekit-sessions/agent', sub: id })
  t.equal(exp, Math.ceil((other.session.expires_at.getTime() + 120_000) / 1000), 'until it is over, and what is said last is written')
  const forged = `${head}.${encode({ ...named, exp: 9e9 })}`
  const signed = (secret: string | Buffer) => `${forged}.${createHmac('sha256', secret).update(forged).digest('base64url')}`
  for (const bad of [
    userToken('dora'), userToken('root', { role: 'admin' }), `${forged}.${signature}`, `${encode({ alg: 'none' })}.${claims}.`, `${head}.${claims}.${signature.slice(0, -2)}`,
    signed(Buffer.from(oldKey, 'base64')), signed(livekit.apiSecret), other.token,
    createAgentTokens(`${livekit.apiSecret}x`, clock).issue(other.session), app.agentTokens.issue({ id, expires_at: new Date(clock.now() - 121_000) })
  ]) sameProblem(t, await write(bad, [line(1, secret)], { id }), noToken)
  sameProblem(t, await app.inject({ method: 'POST', url: `/api/v1/agent/sessions/${id}/transcript`, payload: 'x'.repeat(400_000) }), noToken) // before the body is read
  t.same((await read('dora', id)).json().lines, [])
  // Nor is the token good for anything else.
  t.equal((await app.inject({ url: `/api/v1/sessions/${id}/transcript`, headers: { authorization: `Bearer ${token}` } })).statusCode, 401)
  for (const payload of [
    { writer: 'me', lines: [] }, { writer: randomUUID(), lines: [line(1, '')] }, { writer: randomUUID(), lines: [line(1, 'x'.repeat(8001))] }, { writer: randomUUID(), lines: [line(-1, 'x')] },
    { writer: randomUUID(), lines: [line(1, 'x', { by: 'nobody' as never })] }, { writer: randomUUID(), lines: Array.from({ length: 9 }, (_, n) => line(n, 'x')) }, { writer: randomUUID(), lines: [], title: secret }
  ]) t.equal((await app.inject({ method: 'POST', url: `/api/v1/agent/sessions/${id}/transcript`, headers: { authorization: `Bearer ${token}` }, payload })).statusCode, 400)
  await end()
})

t.test('ready when the session is over and its agents are done; told of once, after the end', async (t) => {
  const receiver = await receiverFor(t)
  const { id, token, end } = await conversation('emil')
  const [first, second] = [randomUUID(), randomUUID()]
  await write(token, [line(1, 'Hello.')], { writer: first, done: true })
  await app.transcripts.settle()
  t.equal(await stateOf('emil', id), 'writing', 'a session that goes on may have another agent')
  await write(token, [], { writer: second })
  await end()
  await app.transcripts.settle()
  t.equal(await stateOf('emil', id), 'writing', 'the second agent is at work')
  t.same((await write(token, [line(1, 'Goodbye.', { at: at(5), until: at(6) })], { writer: second, done: true })).json(), { status: 'written' })
  t.equal(await stateOf('emil', id), 'ready')
  sameProblem(t, await write(token, [line(2, 'late')], { writer: second }), closed)
  await app.transcripts.settle()
  await app.outbox.deliver()
  t.same(receiver.received.map(({ body }) => body.type), ['session.started', 'session.ended', 'transcript.ready'])
  t.match(receiver.received[2]!.body.data, { id, state: 'ended', transcript: 'ready' })
  t.same(await texts('emil', id), ['agent: Hello.', 'agent: Goodbye.'])
  t.match((await app.as('emil').inject({ url: `/api/v1/sessions/${id}` })).json().events.slice(-2), [{ type: 'session.ended' }, { type: 'transcript.ready', actor: 'service' }])
  t.equal((await query('select count(*)::int as n from session_events where session_id = $1 and type = \'transcript.ready\'', [id]))[0].n, 1)
})

t.test('an agent that was killed, or never came, is waited for a minute', async (t) => {
  const receiver = await receiverFor(t)
  const { id, token, end } = await conversation('fred')
  const without = await conversation('fred')
  await write(token, [line(1, 'Half of a')])
  await Promise.all([end(), without.end()])
  clock.advance(59_000)
  await app.transcripts.settle()
  t.equal(await stateOf('fred', id), 'writing')
  t.equal((await write(token, [line(2, 'sentence.')])).statusCode, 200, 'the last line may come late')
  clock.advance(1000)
  sameProblem(t, await write(token, [line(3, 'too late')]), closed)
  await app.transcripts.settle()
  t.equal(await stateOf('fred', id), 'ready')
  t.same((await read('fred', without.id)).json().lines, [])
  await app.outbox.deliver()
  t.same(receiver.received.filter(({ body }) => body.type === 'transcript.ready' && body.data.user_id === 'fred').map(({ body }) => body.data.id).sort(), [id, without.id].sort())
})

t.test('one whose second agent is just writing its first line is not ready', async (t) => {
  const { id, token, end } = await conversation('greta')
  const second = randomUUID()
  await write(token, [line(1, 'Hello.')], { done: true })
  await end()
  const writing = new pg.Client(databaseUrl)
  await writing.connect()
  t.teardown(() => writing.end())
  await writing.query('begin')
  await writing.query('select 1 from sessions where id = $1 for share', [id])
  const settled = app.transcripts.settle()
  await eventually(async () => (await query('select 1 from pg_stat_activity where wait_event_type = \'Lock\' and query like \'%transcript = \'\'ready\'\'%\'')).length > 0)
  await writing.query('insert into transcript_writers (session_id, writer, done, bytes) values ($1, $2, false, 0)', [id, second])
  await writing.query('commit')
  await settled
  t.equal(await stateOf('greta', id), 'writing')
  t.equal((await write(token, [line(1, 'I am back.')], { writer: second, done: true })).statusCode, 200)
  t.equal(await stateOf('greta', id), 'ready')
})

t.test('replicas that make it ready at once, and an agent that says so twice, tell of it once', async (t) => {
  const receiver = await receiverFor(t)
  const other = await appFor(t, environment(livekit, databaseUrl, given), clock)
  const { id, token, end } = await conversation('gina')
  const writer = randomUUID()
  await write(token, [], { writer })
  await end()
  await Promise.all([write(token, [], { writer, done: true }), write(token, [], { writer, done: true, on: other }), app.transcripts.settle(), other.transcripts.settle()])
  await app.transcripts.settle()
  t.equal(await stateOf('gina', id), 'ready')
  await app.outbox.deliver()
  t.equal(receiver.received.filter(({ body }) => body.type === 'transcript.ready').length, 1)
})

t.test('deleted by its owner, also in mid-call: nothing is left, and nothing more is taken, however it races', async (t) => {
  const receiver = await receiverFor(t)
  const { id, token, end } = await conversation('hugo')
  const writes = Array.from({ length: 40 }, (_, n) => write(token, [line(n, secret)]))
  const [removed] = await Promise.all([remove('hugo', id), ...writes])
  t.same(removed.json(), { status: 'deleted', session_id: id })
  t.same(await query('select 1 from transcript_lines where session_id = $1', [id]), [])
  sameProblem(t, await write(token, [line(99, secret)]), closed)
  sameProblem(t, await read('hugo', id), noTranscript)
  t.same((await remove('hugo', id)).json(), { status: 'deleted', session_id: id }, 'twice is once')
  await end()
  clock.advance(61_000)
  await app.transcripts.settle()
  await app.outbox.deliver()
  t.same(receiver.received.map(({ body }) => body.type), ['session.started', 'session.ended'])
  t.equal(await stateOf('hugo', id), 'deleted')
  t.match(await query('select actor, data from session_events where session_id = $1 and type = \'transcript.deleted\'', [id]), [{ actor: 'user:hugo', data: {} }])
})

t.test('a deletion that was cut off between its two statements is finished by the next sweep', async (t) => {
  const { id, token } = await conversation('ida')
  await write(token, [line(1, secret)])
  await query('update sessions set transcript = \'deleted\' where id = $1', [id])
  await app.retention.prune()
  t.same(await query('select 1 from transcript_lines where session_id = $1', [id]), [])
})

t.test('sealed: the database has nothing of what was said, and a line opens in its own place only', async (t) => {
  const { id, token } = await conversation('jana')
  await write(token, [line(1, secret), line(2, 'get_secrets', { by: 'tool' })])
  const rows = await query('select *, encode(sealed, \'escape\') as seen from transcript_lines where session_id = $1', [id])
  t.equal(rows.length, 2)
  t.notMatch(JSON.stringify(rows), /xylophone|get_secrets/)
  for (const text of [secret, token.split('.')[2]!]) {
    for (const table of ['sessions', 'session_events', 'webhook_deliveries', 'transcript_lines', 'transcript_writers']) t.same(await query(`select 1 from ${table} r where to_jsonb(r)::text like '%' || $1 || '%'`, [text]), [], table)
  }
  await query('update transcript_lines a set sealed = b.sealed from transcript_lines b where a.session_id = $1 and b.session_id = $1 and a.seq = 1 and b.seq = 2', [id])
  const response = await read('jana', id)
  t.equal(response.statusCode, 500)
  t.match(app.logs.findLast(({ msg }) => msg === 'request failed'), { err: { code: 'TRANSCRIPT_UNREADABLE' } })
})

t.test('keys are rotated: the first seals, all open, and one that is gone is named in the log', async (t) => {
  const { id, token } = await conversation('karl')
  await write(token, [line(1, 'before')])
  const rotated = await appFor(t, environment(livekit, databaseUrl, { ...given, TRANSCRIPT_KEYS: `${newKey}, ${oldKey}` }), clock)
  t.equal((await write(token, [line(2, 'after')], { on: rotated })).statusCode, 200, 'tokens of before are good')
  t.same((await query('select key_id from transcript_lines where session_id = $1 order by seq', [id])).map((row) => row.key_id), ['af397552', 'a99ac419'])
  t.same((await read('karl', id, undefined, rotated)).json().lines.map(({ text }: any) => text), ['before', 'after'])

  const lost = await appFor(t, environment(livekit, databaseUrl, { ...given, TRANSCRIPT_KEYS: newKey }), clock)
  t.equal((await read('karl', id, undefined, lost)).statusCode, 500)
  t.match(lost.logs.findLast(({ msg }) => msg === 'request failed'), { operation: 'getTranscript', err: { code: 'TRANSCRIPT_UNREADABLE', cause: { message: 'the key af397552 is not in TRANSCRIPT_KEYS' } } })
  t.match((await lost.as('karl').inject({ url: '/api/v1/users/karl/export' })).json().transcripts, [{ session_id: id, lines: null, summary: null }])
  const none = await appFor(t, environment(livekit, databaseUrl, { VOICE_AGENT_NAME: '' }), clock)
  t.equal((await read('karl', id, undefined, none)).statusCode, 500)
  sameProblem(t, await write(token, [line(3, 'x')], { on: none }), closed)
})

t.test('one transcript holds so much', async (t) => {
  const { id, token } = await conversation('lena')
  const writer = randomUUID()
  await write(token, [line(1, 'the first')], { writer })
  await query('update transcript_writers set bytes = 8 * 1024 * 1024 where session_id = $1', [id])
  sameProblem(t, await write(token, [line(2, 'one too many')], { writer }), problem(409, 'Conflict', 'transcript-full', 'This transcript is as long as one may be.'))
  t.equal((await write(token, [], { writer, done: true })).statusCode, 200)
  t.same(await texts('lena', id), ['agent: the first'])
  const other = await conversation('lena')
  await query('insert into transcript_writers select $1, gen_random_uuid(), false, 0 from generate_series(1, 100)', [other.id])
  t.equal((await write(other.token, [line(1, 'one writer too many')])).statusCode, 409)
})

t.test('taken away and erased with all else of a user, and kept no longer than its session', async (t) => {
  const { id, token, end } = await conversation('mona')
  await write(token, [line(1, secret, { by: 'user' })])
  const exported = (await app.as('mona').inject({ url: '/api/v1/users/mona/export' })).json()
  t.same(exported.transcripts, [{ session_id: id, lines: [{ at: at(1), until: at(1.5), by: 'user', text: secret }], summary: null }])
  await end()
  t.equal((await app.as('mona').inject({ method: 'DELETE', url: '/api/v1/users/mona/data' })).statusCode, 200)
  t.same(await query('select 1 from transcript_lines where session_id = $1', [id]), [], 'before the session itself may go')
  sameProblem(t, await write(token, [line(2, secret)]), closed)

  const old = await conversation('nora')
  for (let n = 0; n < 3; n++) await write(old.token, Array.from({ length: 8 }, (_, seq) => line(n * 8 + seq, secret)))
  await old.end()
  await query('update sessions set ended_at = $2, next_check_at = null where id = $1', [old.id, new Date(clock.now() - 31 * 86_400_000)])
  await app.retention.prune()
  t.same(await query('select 1 from transcript_lines where session_id = $1', [old.id]), [])
  t.same(await query('select 1 from transcript_writers where session_id = $1', [old.id]), [])
  sameProblem(t, await write(old.token, [line(1, 'x')]), closed)
})

t.test('a summary, where the start asked for it: sealed, served and deleted with what was said', async (t) => {
  const body = { transcript: true, summary: true }
  const start = (body: object, headers = {}) => app.as('sara').start(body, headers)
  const refused = await start({ summary: true })
  t.match(refused.json(), { status: 400, errors: [{ in: 'body', path: '/summary', message: 'needs a transcript' }] })
  const key = { 'idempotency-key': 'sara-1' }
  const { room_name: room } = (await start(body, key)).json()
  t.equal((await start(body, key)).json().room_name, room)
  t.match((await start({ transcript: true }, key)).json(), { type: 'urn:livekit-sessions:problem:idempotency-key-reused' })
  const session = (await query('select * from sessions where room_name = $1', [room]))[0]
  const { id } = session
  const token = app.agentTokens.issue(session)
  t.match(JSON.parse(jobMetadata(session, 1)), { transcript: true, summary: true })
  t.notOk('summary' in JSON.parse(jobMetadata({ ...session, summary: false }, 1)))

  await write(token, [line(1, 'Hello.')])
  t.equal((await read('sara', id)).json().summary, null)
  await write(token, [line(2, `About <${secret}>.`, { by: 'summary' })], { done: true })
  await write(token, [line(1, 'And more.', { by: 'summary', at: at(9) })])
  const { lines, summary } = (await read('sara', id)).json()
  t.same(lines.map(({ text }: any) => text), ['Hello.'])
  t.equal(summary, `About <${secret}>.\n\nAnd more.`, 'of each agent that was there')
  t.match((await read('sara', id, 'text/vtt')).body, `WEBVTT\n\nNOTE summary About &lt;${secret}&gt;. And more.\n\n00:`)
  t.ok((await read('sara', id, 'text/plain')).body.endsWith(`\nsummary: About <${secret}>. And more.\n`))
  t.match((await app.as('sara').inject({ url: '/api/v1/users/sara/export' })).json().transcripts, [{ session_id: id, summary }])
  t.notMatch(JSON.stringify(await query('select *, encode(sealed, \'escape\') as seen from transcript_lines where session_id = $1', [id])), /xylophone/)
  await remove('sara', id)
  t.same(await query('select 1 from transcript_lines where session_id = $1', [id]), [])
})

t.test('the dispatch says where the service is, with a token for this session, and whether to write; the room does not', async (t) => {
  const named = await appFor(t, environment(livekit, databaseUrl, { ...given, VOICE_AGENT_NAME: 'nobody', SERVICE_URL: 'http://service:3000' }), clock)
  const rooms = new RoomServiceClient(livekit.url, livekit.apiKey, livekit.apiSecret)
  const dispatches = new AgentDispatchClient(livekit.url, livekit.apiKey, livekit.apiSecret)
  for (const body of [{ transcript: true }, {}]) {
    const { room_name: room } = (await named.as('olga').start(body)).json()
    const [dispatch] = await dispatches.listDispatch(room)
    const { service, transcript, session_id: id } = JSON.parse(dispatch!.metadata)
    t.equal(transcript, 'transcript' in body ? true : undefined)
    t.equal(service.url, 'http://service:3000')
    t.match(claimsOf(service.token), { aud: 'livekit-sessions/agent', sub: id })
    if (transcript) t.equal((await write(service.token, [line(1, secret)], { on: named })).statusCode, 200)
    else sameProblem(t, await write(service.token, [line(1, secret)], { on: named }), closed)
    t.notMatch((await rooms.listRooms([room]))[0]!.metadata, /token/)
  }
  t.equal(named.logs.filter(({ msg }) => /SERVICE_URL/.test(msg)).length, 0)
  t.match(app.logs.filter(({ level }) => level === 40)[0], { msg: 'TRANSCRIPTS is on and SERVICE_URL is not set: no agent can write one' })
})

t.test('nothing of what was said, and no token, is in any log', async (t) => {
  const { token } = await conversation('paul')
  await write(token, [line(1, secret)])
  await write(token, [line(1, secret, { by: 'mallory' as never })])
  const lines = JSON.stringify(app.logs)
  t.ok(app.logs.length > 30)
  for (const hidden of [secret, 'xylophone', 'the weather', token, token.split('.')[2]!, oldKey, newKey]) t.notOk(lines.includes(hidden), hidden)
  t.notMatch(await readFile(new URL('../openapi.json', import.meta.url), 'utf8'), /agent\/sessions/)
})
