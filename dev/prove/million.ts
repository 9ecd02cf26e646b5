// `npm run prove:million`: every statement with 1,000,000 ended and 20,000 live sessions and 10,000,000 events, and retention beside requests.
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { migrate } from '../../plugins/database/migrate.ts'
import { openDatabase } from '../../plugins/database/query.ts'
import { createSessionStore } from '../../plugins/database/session-store.ts'
import type { NewSession } from '../../src/sessions/store.ts'
import { median } from './figures.ts'
import { newSession } from './new-session.ts'
import { claim, prove, seconds, sleep, startDatabase } from './proof.ts'

const ENDED = Number(process.env.ENDED ?? 1_000_000)
const LIVE = Number(process.env.LIVE ?? 20_000)
const EVENTS = Number(process.env.EVENTS ?? 10_000_000)
const LIMIT = 5 // ms, at the median

await prove({
  async 'a million sessions' () {
    const url = await startDatabase()
    await migrate(url)
    const sql = new pg.Client({ connectionString: url })
    await sql.connect()
    const run = async (what: string, text: string) => {
      const began = performance.now()
      await sql.query(text)
      console.log(`  ${what}: ${seconds(performance.now() - began)}`)
    }
    await run(`${ENDED} ended sessions`, `
      insert into sessions (id, mode, room_name, room_sid, user_id, agent_type, request_id, agent_state, agent_dispatches, created_at, expires_at, ended_at, finished_at, state, end_reason, ended_by, slot)
      select gen_random_uuid(), case when n % 50 = 0 then 'video' else 'voice' end, 'ended-' || n, 'RM_' || n, 'user-' || (n % 50000), 'general', 'r', 'left', 1,
             now() - n * interval '2.5 s', now() - n * interval '2.5 s' + interval '6 hours', now() - n * interval '2.5 s' + interval '5 minutes', now(), 'ended', 'user', 'user:x', 1
        from generate_series(1, ${ENDED}) n`)
    await run(`${LIVE} live ones`, `
      insert into sessions (id, mode, room_name, room_sid, user_id, agent_type, request_id, agent_state, agent_dispatches, created_at, expires_at, next_check_at, state, slot)
      select gen_random_uuid(), 'voice', 'live-' || n, 'RM_live_' || n, 'user-' || n, 'general', 'r', 'joined', 1, now() - random() * interval '1 hour', now() + interval '6 hours', now() + random() * interval '15 s', 'live', 1
        from generate_series(1, ${LIVE}) n`)
    await run(`${EVENTS} events`, `
      insert into session_events (session_id, user_id, at, type, actor, data)
      select s.id, s.user_id, s.created_at + e * interval '1 s', 'participant.joined', 'livekit', '{"identity":"x"}' from (select * from sessions limit ${Math.ceil(EVENTS / 10)}) s, generate_series(1, 10) e`)
    await run(`${EVENTS / 10} stays`, `
      insert into participants (session_id, sid, identity, kind, joined_at, left_at, left_told, with_room, hung_up)
      select s.id, 'PA_' || p || s.id, s.user_id, case p when 1 then 'STANDARD' else 'AGENT' end, s.created_at, s.ended_at, s.ended_at is not null, false, false
        from (select * from sessions limit ${Math.ceil(EVENTS / 20)}) s, generate_series(1, 2) p`)
    await run('vacuum analyze', 'vacuum analyze')
    await sql.query('select pg_stat_reset()')

    const database = openDatabase(url, () => {})
    const store = createSessionStore(database)
    const { rows: live } = await sql.query<{ id: string, room_name: string, user_id: string }>('select id, room_name, user_id from sessions where state = \'live\' order by random() limit 1000')
    const { rows: [ended] } = await sql.query<{ id: string }>('select id from sessions where state = \'ended\' limit 1')
    let n = 0
    const one = () => live[n++ % live.length]!
    const now = () => new Date()
    const later = (s: number) => new Date(Date.now() + s * 1000)
    const claimed: NewSession[] = []
    const fresh = () => newSession({ user_id: `user-${n++ % 50_000}`, idempotency_key: randomUUID(), lease_until: later(7) })
    let ending = 0
    const statements: Record<string, () => Promise<unknown>> = {
      'start: claim': async () => { const row = await store.claim(fresh(), { slots: 1000, startsPerMinute: 10 }); if (row) claimed.push(row as unknown as NewSession) },
      'start: goLive': () => store.goLive(claimed[ending++]!.id, 0, { room_sid: 'RM', expires_at: later(60), next_check_at: later(3600), actor: 'user:x', now: now() }),
      'start: byKey': () => store.byKey(one().user_id, 'no-such-key'),
      'start: usage': () => store.usage(one().user_id, now()),
      'status: byRoom': () => store.byRoom(one().room_name),
      'active: liveOf': () => store.liveOf(one().user_id, 'voice'),
      'end: beginEnd': () => store.beginEnd({ id: claimed[--ending]!.id }, { reason: 'user', by: 'user:x', now: now(), lease_until: later(10) }),
      'end: finishEnd': () => store.finishEnd(claimed[ending++]!.id, 1, { now: now(), watch_until: later(60), next_check_at: null, late: null }),
      'webhook: change': () => store.change({ room_name: one().room_name }, () => ({ session: { seen_sids: String(n) }, events: [{ at: now(), type: 'participant.joined', actor: 'livekit', data: {}, livekit_id: `EV_${n++}` }] })),
      'webhook: a room of others': () => store.change({ room_name: 'nobody-knows-it' }, () => undefined),
      'reconciler: claimDue': () => store.claimDue(now(), later(30), 50),
      'history: a user': () => store.history({ userId: one().user_id, limit: 21 }),
      'history: a user, filtered': () => store.history({ userId: one().user_id, mode: 'voice', state: 'ended', from: later(-86_400), limit: 21 }),
      'history: everybody': () => store.history({ limit: 101 }),
      'history: everybody, live': () => store.history({ state: 'live', limit: 101 }),
      'history: everybody, ending': () => store.history({ state: 'ending', limit: 101 }),
      'history: everybody, video': () => store.history({ mode: 'video', limit: 101 }),
      'history: everybody, a month ago': () => store.history({ from: later(-30 * 86_400), to: later(-20 * 86_400), limit: 101 }),
      'history: page 1,000': () => store.history({ after: { created_at: later(-86_400), id: ended!.id }, limit: 101 }),
      'history: events': () => store.eventsOf(ended!.id, { limit: 1001 }),
      'retention: prune': () => store.prune(later(-28 * 86_400), 500)
    }
    console.log('\n  | statement | median ms | worst ms |\n  |---|---|---|')
    const slow: string[] = []
    for (const [name, statement] of Object.entries(statements)) {
      const times: number[] = []
      for (let round = 0; round < 200; round++) {
        const at = performance.now()
        await statement()
        times.push(performance.now() - at)
      }
      times.sort((a, b) => a - b)
      if (median(times) > LIMIT) slow.push(name)
      console.log(`  | ${name} | ${median(times).toFixed(2)} | ${times.at(-1)!.toFixed(1)} |`)
    }
    claim(`no statement slower than ${LIMIT} ms at the median`, slow.length === 0, slow.join())
    await sleep(1500) // until the statistics are told
    const { rows: scans } = await sql.query('select relname, seq_scan::int from pg_stat_user_tables where seq_scan > 0 and relname in (\'sessions\', \'session_events\', \'participants\')')
    claim('none that scans a table', scans.length === 0, JSON.stringify(scans))

    // 100 sessions a second grow too old while requests go on.
    const pauses: number[] = []
    const over = new AbortController()
    const requests = (async () => {
      while (!over.signal.aborted) {
        const at = performance.now()
        await store.byRoom(one().room_name)
        pauses.push(performance.now() - at)
        await sleep(1)
      }
    })()
    const began = performance.now()
    let pruned = 0
    for (let round = 0; round < 20; round++) pruned += await store.prune(later(-25 * 86_400), 500)
    const took = performance.now() - began
    over.abort()
    await requests
    claim('retention keeps up with 100 sessions a second', pruned / took * 1000 > 100, `${Math.round(pruned / took * 1000)} a second`)
    claim('requests wait for it 50 ms at most', Math.max(...pauses) < 50, `${Math.max(...pauses).toFixed(1)} ms`)

    const { rows: sizes } = await sql.query('select relname, pg_size_pretty(pg_relation_size(oid)) as size from pg_class where relname like \'session%\' and relkind in (\'r\', \'i\') order by pg_relation_size(oid) desc')
    console.log(`\n  sizes: ${sizes.map(({ relname, size }) => `${relname} ${size}`).join(', ')}`)
    await database.close()
    const boot = performance.now()
    await migrate(url)
    console.log(`  migrations at boot, nothing to do: ${seconds(performance.now() - boot)}`)
    await sql.end()
  }
})
