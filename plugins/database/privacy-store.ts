// A user's data in PostgreSQL: read out table by table, and deleted in batches, each a statement of a few ms.
import type { PrivacyStore } from '../../src/sessions/privacy.ts'
import type { Session } from '../../src/sessions/store.ts'
import type { Database } from './query.ts'
import { reported, sums } from './usage-store.ts'

/** The trail is append-only but for this (008.do.privacy.sql). */
const permission = 'permission as materialized (select set_config(\'livekit_sessions.retention\', \'on\', true))'

/** A message that somebody may still get: nobody gets those of an endpoint that is gone or disabled. */
const onItsWay = 'state = \'pending\' and endpoint_id in (select id from webhook_endpoints where enabled)'

/** Said as the partial index says it. Whose name was taken away is called `erased`: a user of that id is not meant by it. */
const aboutOthers = 'actor like \'%:%\' and actor is distinct from \'user:\' || user_id and actor is distinct from \'admin:\' || user_id'

export function createPrivacyStore ({ query }: Database): PrivacyStore {
  const count = async (text: string, values: unknown[], deadline?: number) => (await query<{ count: number }>(text, values, deadline))[0]!.count

  return {
    openOf: (userId, deadline) => query<Session>('select * from sessions where user_id = $1 and ended_at is null', [userId], deadline),

    async sessionsOf (userId, after, limit) {
      const rows = await query<Session & { participants: unknown[], used: unknown[] }>(`
        select s.*, (select coalesce(json_agg(json_build_object('identity', p.identity, 'kind', p.kind, 'joined_at', p.joined_at, 'left_at', coalesce(p.left_at, s.ended_at)) order by p.joined_at), '[]')
                       from participants p where p.session_id = s.id) as participants,
               (select coalesce(json_agg(json_build_object(${reported.map((column) => `'${column}', r.${column}`).join(', ')})), '[]') from usage_reports r where r.session_id = s.id) as used
          from sessions s where user_id = $1 and id > $2 order by id limit $3`, [userId, after ?? '00000000-0000-0000-0000-000000000000', limit])
      return rows
    },

    eventsOf: (userId, after, limit) => query(`
      select id, session_id, at, type, actor, data from session_events
       where user_id = $1 and id > $2 order by id limit $3`, [userId, after ?? 0, limit]),

    actsOf: (userId, after, limit) => query(`
      select id, session_id, at, type, actor, data from session_events
       where actor in ('user:' || $1, 'admin:' || $1) and $1 <> 'erased' and ${aboutOthers} and id > $2 order by id limit $3`, [userId, after ?? 0, limit]),

    messagesOf: (userId, after, limit) => query(`
      select id, session_id, at, type, state from webhook_deliveries where user_id = $1 and id > $2 order by id limit $3`, [userId, after ?? 0, limit]),

    usageOf: (userId, after, limit) => query(`
      select day::text as id, day::text as day, ${sums.map((column) => `${column}::float8 as ${column}`).join(', ')} from usage_days where user_id = $1 and day > $2::date order by usage_days.day limit $3`, [userId, after ?? '-infinity', limit]),

    async begin (userId, before, event, deadline) {
      await query(`
        with begun as (
          insert into erasures (user_id, before) values ($1, $2) on conflict (user_id) do update set before = excluded.before)
        insert into session_events (session_id, user_id, at, type, actor, data) values (null, null, $2, $3, $4, $5)`,
      [userId, before, event.type, event.actor, event.data], deadline)
    },

    begun: () => query('select user_id, before from erasures order by before', []),

    // Rooms that could come back are looked at, ingresses are removed, and messages that are on their way are delivered or given up, before their session goes.
    // What was said goes at once, and nothing more is taken (two statements, as transcript-store.ts says).
    async eraseSome (userId, before, limit, deadline) {
      await query('update sessions set transcript = \'deleted\' where user_id = $1 and created_at <= $2 and transcript in (\'writing\', \'ready\')', [userId, before], deadline)
      await query('update sessions set recording = \'deleted\', recording_check_at = null where user_id = $1 and created_at <= $2 and recording <> \'deleted\'', [userId, before], deadline)
      const said = await count(`
        with said as (
          delete from transcript_lines where id in (
            select l.id from sessions s join transcript_lines l on l.session_id = s.id where s.user_id = $1 and s.created_at <= $2 and s.transcript = 'deleted' limit $3) returning 1)
        select count(*)::int as count from said`, [userId, before, limit], deadline)
      if (said > 0) return said
      // What a session added to its day goes with it, unless it is being counted in this very moment (xmin): then both go next time.
      const sessions = await count(`
        with ${permission},
        gone as (
          delete from sessions s using (
            select id, xmin as version from sessions s where user_id = $1 and created_at <= $2 and ended_at is not null and next_check_at is null and ingress_check_at is null
               and not exists (select 1 from webhook_deliveries where user_id = $1 and session_id = s.id and ${onItsWay}) limit $3) due
           where s.id = due.id and s.xmin = due.version
          returning s.id),
        used as (
          update usage_days d set ${sums.map((column) => `${column} = d.${column} - u.${column}`).join(', ')}
            from (select day, ${sums.map((column) => `sum(${column}) as ${column}`).join(', ')} from usage_sessions where session_id in (select id from gone) group by day) u
           where d.user_id = $1 and d.day = u.day),
        messages as (delete from webhook_deliveries where user_id = $1 and session_id in (select id from gone)),
        lines as (delete from session_events using permission where user_id = $1 and session_id in (select id from gone))
        select count(*)::int as count from gone`, [userId, before, limit], deadline)
      const loose = await count(`
        with ${permission},
        lines as (delete from session_events using permission where id in (select id from session_events where user_id = $1 and at <= $2 limit $3) returning 1),
        messages as (delete from webhook_deliveries where id in (select id from webhook_deliveries where user_id = $1 and at <= $2 and not (${onItsWay}) limit $3) returning 1)
        select (select count(*) from lines)::int + (select count(*) from messages)::int as count`, [userId, before, limit], deadline)
      // On the day of the wish others may have been started since; of the days before nothing is to stay.
      const days = await count(`
        with days as (delete from usage_days where user_id = $1 and (day < ($2::timestamptz at time zone 'UTC')::date or sessions <= 0) returning 1)
        select count(*)::int as count from days`, [userId, before], deadline)
      const named = await count(`
        with ${permission},
        acts as (
          update session_events set actor = split_part(actor, ':', 1) || ':erased' from permission where id in (
            select id from session_events where actor in ('user:' || $1, 'admin:' || $1) and $1 <> 'erased' and ${aboutOthers} limit $2) returning 1),
        looks as (
          update session_events set data = data - 'user' from permission where id in (
            select id from session_events where type = 'admin.read' and data ? 'user' and data ->> 'user' = $1 limit $2) returning 1),
        ends as (
          update sessions set ended_by = 'admin:erased' where id in (select id from sessions where ended_by like 'admin:%' and ended_by = 'admin:' || $1 and $1 <> 'erased' limit $2) returning 1)
        select (select count(*) from acts)::int + (select count(*) from looks)::int + (select count(*) from ends)::int as count`, [userId, limit], deadline)
      return sessions + loose + days + named
    },

    finish: async (userId, before, deadline) => (await query(`
      delete from erasures where user_id = $1 and before = $2
         and not exists (select 1 from sessions where user_id = $1 and created_at <= $2)
         and not exists (select 1 from webhook_deliveries where user_id = $1 and at <= $2)
         and not exists (select 1 from recordings_left where user_id = $1 and created_at <= $2)
      returning 1`, [userId, before], deadline)).length > 0
  }
}
