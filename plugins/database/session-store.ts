// The sessions in PostgreSQL: one statement per transition, each conditional on the state it starts from.
import type { Session, SessionEvent, SessionStore, Stay } from '../../src/sessions/store.ts'
import type { Database } from './query.ts'

const addEvent = (name: string, source: string, type: string, actor: string, data: string, at: string) => `
  ${name} as (insert into session_events (session_id, user_id, at, type, actor, data) select id, user_id, ${at}, '${type}', ${actor}, ${data} from ${source})`

const endEvent = addEvent('noted', 'ended', 'session.ended', 'ended_by', 'jsonb_build_object(\'reason\', end_reason)', 'ended_at')

// Whoever is still in when the session ends goes with the room. Told on reading: a statement that ended the session and closed its stays
// would not see one that a webhook wrote while it waited for the row.
const staysOf = `
  select p.sid, p.identity, p.kind, p.joined_at, coalesce(p.left_at, s.ended_at) as left_at, p.left_told,
         p.with_room or (p.left_at is null and s.ended_at is not null) as with_room, p.hung_up
    from participants p join sessions s on s.id = p.session_id where s.id = $1`

/** The store over a pool of PostgreSQL connections. READ COMMITTED; times come from the caller's clock. */
export function createSessionStore ({ query, transaction }: Database): SessionStore {
  const one = async (text: string, values: unknown[], deadline?: number) => (await query<Session>(text, values, deadline))[0]

  return {
    // All candidate rows share one primary key, so exactly one lands, in the lowest free slot: exact under any race, one round trip (D4).
    claim: (session, limits, deadline) => one(`
      insert into sessions (id, mode, room_name, user_id, agent_type, category_id, category_name, idempotency_key, request_id,
        agent_state, agent_dispatches, episode_dispatches, agent_dispatched_at, created_at, expires_at, next_check_at, lease_until, state, slot)
      select $1, $2, $3, $4, $5, $6::uuid, $7, $8, $16, $9, $10, $10, case when $10 > 0 then $11::timestamptz end, $11, $12, $13, $17, 'starting', s
        from generate_series(1, $14::int) s
       where $15::int = 0 or (select count(*) from sessions where user_id = $4 and created_at > $11::timestamptz - interval '1 minute' and end_reason is distinct from 'start_failed') < $15
       order by s
      on conflict do nothing
      returning *`,
    [session.id, session.mode, session.room_name, session.user_id, session.agent_type, session.category_id, session.category_name, session.idempotency_key,
      session.agent_state, session.agent_dispatches, session.created_at, session.expires_at, session.next_check_at, limits.slots, limits.startsPerMinute, session.request_id, session.lease_until], deadline),

    byKey: (userId, key, deadline) => one('select * from sessions where user_id = $1 and idempotency_key = $2 and end_reason is distinct from \'start_failed\'', [userId, key], deadline),

    async usage (userId, now, deadline) {
      const [usage] = await query<{ live: number, recent: number, oldest: Date | null }>(`
        select (select count(*)::int from sessions where user_id = $1 and ended_at is null) as live, count(*)::int as recent, min(created_at) as oldest
          from sessions where user_id = $1 and created_at > $2::timestamptz - interval '1 minute' and end_reason is distinct from 'start_failed'`, [userId, now], deadline)
      return usage!
    },

    byRoom: (roomName, deadline) => one('select * from sessions where room_name = $1', [roomName], deadline),

    byId: (id, deadline) => one('select * from sessions where id = $1', [id], deadline),

    // A start has 7 s at the least: rows of before 0.1.0 have no lease.
    takeOver: (id, take, deadline) => one(`
      update sessions set check_no = check_no + 1, lease_until = $3, next_check_at = $4
       where id = $1 and state = 'starting' and greatest(lease_until, created_at + interval '7 seconds') <= $2
      returning *`, [id, take.now, take.lease_until, take.next_check_at], deadline),

    goLive: (id, checkNo, live, deadline) => one(`
      with live as (
        update sessions set state = 'live', room_sid = $3, expires_at = $4, next_check_at = least(next_check_at, $5), lease_until = '-infinity'
         where id = $1 and check_no = $2 and state = 'starting' returning *),
      ${addEvent('noted', 'live', 'session.started', '$6', 'jsonb_strip_nulls(jsonb_build_object(\'mode\', mode, \'agent_type\', agent_type, \'counselor_category\', category_name))', '$7::timestamptz')}
      select * from live`, [id, checkNo, live.room_sid, live.expires_at, live.next_check_at, live.actor, live.now], deadline),

    failStart: (id, checkNo, end, deadline) => one(`
      with ended as (
        update sessions set state = 'ended', end_reason = 'start_failed', ended_by = 'service', ended_at = $3, watch_until = $4, next_check_at = $5, lease_until = '-infinity', check_no = check_no + 1
         where id = $1 and check_no = $2 and state = 'starting' returning *),
      ${endEvent}
      select * from ended`, [id, checkNo, end.now, end.watch_until, end.next_check_at], deadline),

    liveOf: (userId, mode, deadline) => query(
      'select * from sessions where user_id = $1 and mode = $2 and state = \'live\' and ended_at is null order by created_at desc, id desc', [userId, mode], deadline),

    beginEnd: (id, end, deadline) => one(`
      update sessions set state = 'ending', end_reason = coalesce(end_reason, $2), ended_by = coalesce(ended_by, $3), lease_until = $5, next_check_at = $5, check_no = check_no + 1
       where id = $1 and (state in ('starting', 'live') or (state = 'ending' and (lease_until < $4 or check_no = $6)))
      returning *`, [id, end.reason, end.by, end.now, end.lease_until, end.holding ?? null], deadline),

    finishEnd: (id, checkNo, end, deadline) => one(`
      with ended as (
        update sessions set state = 'ended', ended_at = $3, watch_until = $4, next_check_at = $5, lease_until = '-infinity'
         where id = $1 and check_no = $2 and state = 'ending' returning *),
      ${endEvent}
      select * from ended`, [id, checkNo, end.now, end.watch_until, end.next_check_at], deadline),

    change: (key, decide) => transaction(async (run) => {
      const [session] = 'room_name' in key
        ? await run<Session>('select * from sessions where room_name = $1 for update', [key.room_name])
        : await run<Session>('select * from sessions where id = $1 and check_no = $2 for update', [key.id, key.check_no])
      if (!session) return undefined
      const change = decide(session, await run<Stay>(staysOf, [session.id]))
      if (!change) return session
      for (const stay of change.stays ?? []) {
        await run(`
          insert into participants (session_id, sid, identity, kind, joined_at, left_at, left_told, with_room, hung_up) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
          on conflict (session_id, sid) do update set identity = $3, kind = $4, joined_at = $5, left_at = $6, left_told = $7, with_room = $8, hung_up = $9`,
        [session.id, stay.sid, stay.identity, stay.kind, stay.joined_at, stay.left_at, stay.left_told, stay.with_room, stay.hung_up])
      }
      for (const event of change.events ?? []) await run(...insertEvent({ ...event, session_id: session.id, user_id: session.user_id }))
      const columns = Object.entries(change.session ?? {})
      if (columns.length === 0) return session
      const [changed] = await run<Session>(`update sessions set ${columns.map(([name], n) => `${name} = $${n + 2}`).join(', ')} where id = $1 returning *`, [session.id, ...columns.map(([, value]) => value)])
      return changed
    }),

    // next_check_at = lease_until while a look is on: whatever differs afterwards was pulled forward meanwhile (see release).
    claimDue: (now, leaseUntil, limit) => query(`
      update sessions s set lease_until = $2, next_check_at = $2, check_no = check_no + 1
        from (select id, next_check_at as due_at from sessions where next_check_at <= $1 and lease_until < $1 order by next_check_at limit $3 for update skip locked) due
       where s.id = due.id
      returning s.*, due.due_at`, [now, leaseUntil, limit]),

    async release (looks) {
      if (looks.length === 0) return
      await query(`
        update sessions s set lease_until = '-infinity', next_check_at = case when s.next_check_at = s.lease_until then l.at else s.next_check_at end
          from unnest($1::uuid[], $2::int[], $3::timestamptz[]) l (id, check_no, at)
         where s.id = l.id and s.check_no = l.check_no`,
      [looks.map((look) => look.id), looks.map((look) => look.check_no), looks.map((look) => look.next_check_at)])
    },

    history: (filter, deadline) => query(`
      select * from sessions
       where ($1::text is null or user_id = $1) and ($2::text is null or mode = $2) and ($3::text is null or state = $3)
         and ($4::timestamptz is null or created_at >= $4) and ($5::timestamptz is null or created_at < $5)
         and ($6::timestamptz is null or (created_at, id) < ($6, $7::uuid))
       order by created_at desc, id desc limit $8`,
    [filter.userId ?? null, filter.mode ?? null, filter.state ?? null, filter.from ?? null, filter.to ?? null, filter.after?.created_at ?? null, filter.after?.id ?? null, filter.limit], deadline),

    eventsOf: (sessionId, deadline) => query(`
      select at, type, actor, data from (select * from session_events where session_id = $1 order by id desc limit 1000) last order by id`, [sessionId], deadline),

    async prune (before, limit) {
      const sessions = await query('delete from sessions where id in (select id from sessions where ended_at < $1 limit $2) returning 1', [before, limit])
      const events = await query('delete from session_events where id in (select id from session_events where at < $1 limit $2) returning 1', [before, limit])
      return Math.max(sessions.length, events.length)
    },

    countLive: () => query('select mode, count(*)::int as count from sessions where ended_at is null group by mode', []),

    async note (event) {
      await query(...insertEvent(event))
    },

    async ping () {
      await query('select 1', [])
    }
  }
}

function insertEvent (event: SessionEvent): [string, unknown[]] {
  return [
    'insert into session_events (session_id, user_id, at, type, actor, data, livekit_id) values ($1, $2, $3, $4, $5, $6, $7) on conflict (livekit_id) do nothing',
    [event.session_id, event.user_id, event.at, event.type, event.actor, event.data, event.livekit_id ?? null]
  ]
}
