// The store in memory, on which the interleavings run, answers as PostgreSQL does: the same statements to both, the same rows out of both.
import fc from 'fast-check'
import t from 'tap'
import { anEndpoint, createMemoryIngresses, createMemoryOutbox, createMemoryStore, createMemoryTranscripts, createMemoryUsage, createStatements } from '../../dev/model/store.ts'
import { createIngressStore } from '../../plugins/database/ingress-store.ts'
import { migrate } from '../../plugins/database/migrate.ts'
import { openDatabase } from '../../plugins/database/query.ts'
import { createSessionStore } from '../../plugins/database/session-store.ts'
import { createTranscriptStore } from '../../plugins/database/transcript-store.ts'
import { createUsageStore } from '../../plugins/database/usage-store.ts'
import { createWebhookStore } from '../../plugins/database/webhook-store.ts'
import type { IngressStore } from '../../src/sessions/ingress.ts'
import type { OutboxStore } from '../../src/sessions/outbox.ts'
import type { Change, SessionStore } from '../../src/sessions/store.ts'
import type { TranscriptStore } from '../../src/sessions/transcripts.ts'
import type { UsageStore } from '../../src/sessions/usage.ts'
import { databaseFor, queryFor } from '../helper.ts'

const databaseUrl = await databaseFor(t)
await migrate(databaseUrl)
const database = openDatabase(databaseUrl, () => {})
t.teardown(() => database.close())
const real: Both = { ...createSessionStore(database), outbox: createWebhookStore(database), transcripts: createTranscriptStore(database), used: createUsageStore(database), ingresses: createIngressStore(database) }
const query = await queryFor(t, databaseUrl)
await query('alter table session_events disable trigger user') // emptied again and again

await query('insert into webhook_endpoints (id, url, description, events, enabled, secret, created_at, updated_at) values ($1, $2, $3, $4, true, $5, $6, $6)',
  [anEndpoint.id, anEndpoint.url, anEndpoint.description, anEndpoint.events, anEndpoint.secret, anEndpoint.created_at])

const ids = [1, 2, 3, 4, 5].map((n) => `00000000-0000-4000-8000-00000000000${n}`)
const start = Date.UTC(2026, 0, 1)
const id = fc.constantFrom(...ids)
const user = fc.constantFrom('alice', 'bert')
const at = fc.integer({ min: 0, max: 200 }).map((seconds) => new Date(start + seconds * 1000))
const checkNo = fc.nat(3)
const end = fc.record({ now: at, watch_until: at, next_check_at: fc.option(at) })
const stay = fc.record({ sid: fc.constantFrom('PA_1', 'PA_2'), identity: user, kind: fc.constantFrom('STANDARD', 'AGENT', 'SIP', 'INGRESS'), joined_at: fc.option(at), left_at: fc.option(at), left_told: fc.boolean(), with_room: fc.boolean(), hung_up: fc.boolean(), user_silent: fc.boolean() })
const change: fc.Arbitrary<Change | undefined> = fc.option(fc.record({
  session: fc.record({ agent_state: fc.constantFrom('joined' as const, 'left' as const), next_check_at: at, finished_at: at, revived_at: at, seen_sids: fc.constantFrom('', 'PA_1'), ingress: fc.constantFrom('making' as const, 'ready' as const, null), ingress_check_at: fc.option(at) }, { requiredKeys: [] })
    .map((session) => session.agent_state === 'joined' ? { ...session, agent_joined_at: new Date(start) } : session), // an agent that is there came at some time
  stays: fc.uniqueArray(stay, { maxLength: 2, selector: ({ sid }) => sid }),
  events: fc.array(fc.record({ at, type: fc.constant('agent.joined' as const), actor: fc.constant('livekit'), data: fc.constant({ identity: 'agent' }), livekit_id: fc.constantFrom(undefined, 'EV_1', 'EV_2') }), { maxLength: 2 })
}, { requiredKeys: [] }), { nil: undefined })

type Both = SessionStore & { outbox: OutboxStore, transcripts: TranscriptStore, used: UsageStore, ingresses: IngressStore }
type Statement = [name: string, run: (store: Both) => Promise<unknown>]
const statement = <Given extends unknown[]>(name: string, given: { [Index in keyof Given]: fc.Arbitrary<Given[Index]> }, run: (store: Both, ...given: Given) => Promise<unknown>): fc.Arbitrary<Statement> =>
  fc.tuple(...given).map((values) => [`${name}(${JSON.stringify(values)})`, (store) => run(store, ...values as Given)])

const claim = statement('claim', [id, user, fc.constantFrom(null, 'k1', 'k2'), at, fc.constantFrom('voice' as const, 'video' as const), fc.constantFrom(0, 2), fc.constantFrom(undefined, 60_000)],
  (store, id, user, key, now, mode, startsPerMinute, connectedMs) => store.claim({
    id,
    mode,
    room_name: `room-${id}`,
    user_id: user,
    agent_type: mode === 'voice' ? 'general' : null,
    category_id: null,
    category_name: mode === 'video' ? 'Stress' : null,
    idempotency_key: key,
    traceparent: null,
    transcript: mode === 'voice' ? 'writing' : null,
    summary: mode === 'voice',
    recording: mode === 'voice' ? 'pending' : null,
    recording_file: mode === 'voice' ? `recordings/${id}.ogg` : null,
    recording_check_at: mode === 'voice' ? now : null,
    text_only: mode === 'voice',
    language: mode === 'voice' ? 'de' : null,
    request_id: 'r',
    agent_state: mode === 'voice' ? 'dispatched' : 'none',
    agent_dispatches: mode === 'voice' ? 1 : 0,
    created_at: now,
    expires_at: new Date(now.getTime() + 60_000),
    next_check_at: now,
    lease_until: new Date(now.getTime() + 7000)
  }, { slots: 2, startsPerMinute, connectedMs }))

const statements = fc.oneof(
  { weight: 4, arbitrary: claim },
  { weight: 3, arbitrary: statement('goLive', [id, checkNo, at], (store, id, no, now) => store.goLive(id, no, { room_sid: 'RM_1', expires_at: now, next_check_at: now, actor: 'user:alice', now })) },
  statement('takeOver', [id, at], (store, id, now) => store.takeOver(id, { now, lease_until: new Date(now.getTime() + 7000), next_check_at: now })),
  statement('failStart', [id, checkNo, end], (store, id, no, end) => store.failStart(id, no, end)),
  { weight: 2, arbitrary: statement('beginEnd', [id, at, fc.option(checkNo, { nil: undefined })], (store, id, now, holding) => store.beginEnd({ id }, { reason: 'user', by: 'user:alice', now, lease_until: new Date(now.getTime() + 10_000), holding })) },
  statement('beginEnd of a user', [id, user, fc.constantFrom('voice' as const, 'video' as const), at], (store, id, user, mode, now) => store.beginEnd({ room_name: `room-${id}`, mode, user_id: user }, { reason: 'user', by: 'user:alice', now, lease_until: new Date(now.getTime() + 10_000) })),
  { weight: 2, arbitrary: statement('finishEnd', [id, checkNo, end], (store, id, no, end) => store.finishEnd(id, no, { ...end, late: end.watch_until })) },
  { weight: 2, arbitrary: statement('change', [id, change], (store, id, change) => store.change({ room_name: `room-${id}` }, () => change)) },
  statement('change of a look', [id, checkNo, change], (store, id, no, change) => store.change({ id, check_no: no }, () => change)),
  statement('stays', [id], async (store, id) => {
    let seen: unknown
    await store.change({ room_name: `room-${id}` }, (_session, stays) => { seen = stays.map(({ ...stay }) => stay).sort((a, b) => a.sid < b.sid ? -1 : 1); return undefined })
    return seen
  }),
  { weight: 2, arbitrary: statement('claimDue', [at, fc.constantFrom(1, 10)], async (store, now, limit) => (await store.claimDue(now, new Date(now.getTime() + 30_000), limit === 1 ? 10 : limit)).sort((a, b) => a.id < b.id ? -1 : 1)) },
  statement('release', [id, checkNo, fc.option(at)], (store, id, no, at) => store.release([{ id, check_no: no, next_check_at: at }])),
  statement('byKey', [user, fc.constantFrom('k1', 'k2')], (store, user, key) => store.byKey(user, key)),
  statement('byRoom', [id], (store, id) => store.byRoom(`room-${id}`)),
  statement('byId', [id], (store, id) => store.byId(id)),
  statement('usage', [user, at], (store, user, now) => store.usage(user, now)),
  statement('liveOf', [user], (store, user) => store.liveOf(user, 'voice')),
  statement('history', [fc.option(user, { nil: undefined }), fc.option(at, { nil: undefined }), fc.constantFrom(undefined, 'ended' as const)], (store, userId, from, state) => store.history({ userId, from, state, limit: 3 })),
  statement('eventsOf', [id, fc.constantFrom(2, 1000)], async (store, id, limit) => (await store.eventsOf(id, { limit })).map(({ id: _id, ...event }) => event)),
  { weight: 2, arbitrary: statement('messages are claimed', [at], async (store, now) => (await claimMessages(store, now)).map(({ id: _id, message_id: _message, user_id: _user, ...message }: any) => ({ ...message, session: message.session.state }))) },
  {
    weight: 2,
    arbitrary: statement('messages are claimed and settled', [at, fc.constantFrom('pending' as const, 'delivered' as const, 'dead' as const), at, fc.constantFrom(0, 1)], async (store, now, state, next, late) => {
      for (const { id, attempts } of await claimMessages(store, now)) await store.outbox.settle({ id, attempts: attempts - late }, { state, next_attempt_at: next, status: 500, error: 'REFUSED' })
      return (await store.outbox.dueEndpoints(now)).length
    })
  },
  {
    weight: 3,
    arbitrary: statement('lines are appended', [id, fc.constantFrom(...ids.slice(0, 2)), fc.nat(2), fc.nat(2), fc.boolean(), at, fc.boolean()], (store, id, writer, seq, revision, done, at, empty) =>
      store.transcripts.append(id, { writer, done, lines: empty ? [] : [{ writer, seq, revision, at, key_id: 'k', sealed: Buffer.from([seq, revision]) }] }, at))
  },
  { weight: 2, arbitrary: statement('a transcript is made ready', [id, at], (store, id, at) => store.transcripts.makeReady(id, at, at)) },
  statement('transcripts that are due', [at], async (store, at) => (await store.transcripts.due(at, 100)).sort()),
  statement('a transcript is deleted', [id, at], (store, id, at) => store.transcripts.remove(id, { session_id: id, user_id: 'alice', at, type: 'transcript.deleted', actor: 'user:alice', data: {} })),
  statement('linesOf', [id], async (store, id) => (await store.transcripts.linesOf(id)).map(({ sealed, ...line }) => ({ ...line, sealed: sealed.toString('hex') })).sort((a, b) => `${a.writer} ${a.seq}` < `${b.writer} ${b.seq}` ? -1 : 1)),
  {
    weight: 3,
    arbitrary: statement('usage is reported', [id, fc.constantFrom(...ids.slice(0, 2)), fc.nat(3), fc.nat(5000)], (store, id, writer, seq, n) =>
      store.used.report(id, { writer, seq, stt_ms: n, tts_ms: 2 * n, input_tokens: 3 * n, output_tokens: n, tool_calls: n % 3 }))
  },
  { weight: 3, arbitrary: statement('usage is counted', [], async (store) => { await store.used.count(100) }) },
  { weight: 2, arbitrary: statement('days', [fc.option(user, { nil: undefined })], (store, userId) => store.used.days({ userId, limit: 10 })) },
  statement('ingresses that are due', [at], async (store, now) => (await store.ingresses.due(now, new Date(now.getTime() + 15_000), 10)).sort((a, b) => a.id < b.id ? -1 : 1)),
  statement('connectedThisMonth', [user, at], (store, user, now) => store.connectedThisMonth(user, now)),
  statement('countLive', [], async (store) => (await store.countLive()).sort((a, b) => `${a.mode} ${a.state}` < `${b.mode} ${b.state}` ? -1 : 1)),
  statement('prune', [at], (store, before) => store.prune(before, 1000))
)

async function claimMessages ({ outbox }: Both, now: Date) {
  const claimed = await outbox.claim(anEndpoint.id, now, new Date(now.getTime() + 30_000), 100)
  return claimed.sort((a, b) => a.session_id < b.session_id ? -1 : 1)
}

/** Rows as the rules see them: PostgreSQL's have the lease as well, which no rule reads. */
function plain (value: unknown): unknown {
  return JSON.parse(JSON.stringify(value ?? null, (key, inner) => ['lease', 'lease_until', 'version', 'next_attempt_at', 'attempted_at', 'status', 'error'].includes(key) ? undefined : inner))
}

t.test('any statements in any order give the same answers', { timeout: 240_000 }, async (t) => {
  let runs = 0
  await fc.assert(fc.asyncProperty(fc.array(statements, { minLength: 5, maxLength: 30 }), async (script) => {
    await query('truncate sessions, session_events, participants, webhook_deliveries, transcript_lines, transcript_writers, usage_reports, usage_sessions, usage_days')
    const sql = createStatements()
    sql.endpoints.push(anEndpoint)
    const memory: Both = { ...createMemoryStore(sql), outbox: createMemoryOutbox(sql), transcripts: createMemoryTranscripts(sql), used: createMemoryUsage(sql), ingresses: createMemoryIngresses(sql) }
    for (const [n, [name, run]] of script.entries()) {
      const [ours, theirs] = [plain(await run(memory)), plain(await run(real))]
      const [a, b] = [JSON.stringify(sorted(ours)), JSON.stringify(sorted(theirs))]
      if (a !== b) throw new Error(`${n} ${name}:\n  memory     ${a}\n  PostgreSQL ${b}`)
    }
    runs++
  }), { numRuns: 300 })
  t.ok(runs >= 300, `${runs} scripts`)
})

function sorted (value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1).map(([key, inner]) => [key, sorted(inner)]))
}
