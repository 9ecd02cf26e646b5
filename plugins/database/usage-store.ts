// Usage in PostgreSQL: what agents report, and the days to which each session adds what it used, once.
import type { Counters, Day, SessionUsage, UsageStore } from '../../src/sessions/usage.ts'
import type { Database } from './query.ts'

/** The processes that may report for one session, and the participants that are listed of one. */
const WRITERS = 100
const LISTED = 100

export const reported = ['stt_ms', 'tts_ms', 'input_tokens', 'output_tokens', 'tool_calls'] as const
const counters = ['user_ms', 'agent_ms', ...reported] as const
/** What there is of a day. */
export const sums = ['sessions', ...counters]
const each = (columns: readonly string[], what: (column: string) => string) => columns.map(what).join(', ')

/** Whose kind of a stay is a user's. */
export const isUser = 'kind in (\'STANDARD\', \'SIP\')'

/** How long a stay `p` in a session `s` was, ms; who is still in, until `now`. */
export const lengthOf = (now: string) => `greatest(0, round(extract(epoch from coalesce(p.left_at, s.ended_at, ${now}) - p.joined_at) * 1000))`

/** Everything that the session `s` used. */
const usedBy = (now: string) => `
  (select coalesce(sum(ms) filter (where ${isUser}), 0)::bigint as user_ms, coalesce(sum(ms) filter (where kind = 'AGENT'), 0)::bigint as agent_ms
     from (select kind, ${lengthOf(now)} as ms from participants p where p.session_id = s.id) stays) connected,
  lateral (select ${each(reported, (column) => `coalesce(sum(${column}), 0)::bigint as ${column}`)} from usage_reports where session_id = s.id) reports`

const numbers = <Row extends object>(row: Row, columns: readonly string[]) => ({ ...row, ...Object.fromEntries(columns.map((column) => [column, Number(row[column as keyof Row])])) })

export function createUsageStore ({ query }: Database): UsageStore {
  return {
    // The row is held: of a session that is over it says, in the same moment, that what is counted is not all.
    async report (sessionId, report, deadline) {
      const [outcome] = await query<{ known: boolean, full: boolean }>(`
        with held as materialized (
          select id, ended_at is not null as is_over from sessions where id = $1 for no key update),
        crowd as materialized (
          select count(*) >= ${WRITERS} and not bool_or(writer = $2) as is_full from usage_reports where session_id = $1),
        taken as (
          insert into usage_reports (session_id, writer, seq, ${reported.join(', ')})
          select id, $2::uuid, $3::int, ${each(reported, (column) => `$${4 + reported.indexOf(column as typeof reported[number])}::bigint`)} from held cross join crowd where is_full is not true
          on conflict (session_id, writer) do update set seq = excluded.seq, ${each(reported, (column) => `${column} = excluded.${column}`)}
            where usage_reports.seq < excluded.seq
          returning session_id),
        uncounted as (
          update sessions s set counted = false from held join taken on taken.session_id = held.id where s.id = held.id and is_over)
        select exists (select 1 from held) as known, coalesce(is_full, false) as full from crowd`,
      [sessionId, report.writer, report.seq, ...reported.map((column) => report[column])], deadline)
      return !outcome!.known ? 'unknown' : outcome!.full ? 'full' : 'taken'
    },

    // A row that somebody holds comes up again. What is read is of one moment: a row that changed since (xmin) is not counted now, either.
    // So each session is in its day once, as it was when it was counted, and what changes it later has it counted anew: the day gets the difference.
    async count (limit) {
      const [counted] = await query<{ due: number }>(`
        with due as materialized (
          select id from sessions where not counted and ended_at is not null order by ended_at limit $1 for update skip locked),
        seen as materialized (
          select s.id, s.xmin as version, s.user_id, s.end_reason, (s.created_at at time zone 'UTC')::date as day, ${counters.join(', ')}
            from due join sessions s using (id), lateral ${usedBy('s.ended_at')}),
        counted as (
          update sessions s set counted = true from seen where s.id = seen.id and s.xmin = seen.version
          returning seen.id, seen.user_id, seen.day, (seen.end_reason <> 'start_failed' or ${counters.join(' + ')} > 0)::int::bigint as sessions, ${counters.join(', ')}),
        changed as materialized (
          select c.user_id, c.day, ${each(sums, (column) => `c.${column} - coalesce(u.${column}, 0) as ${column}`)} from counted c left join usage_sessions u on u.session_id = c.id where c.sessions > 0),
        kept as (
          insert into usage_sessions (session_id, day, ${sums.join(', ')}) select id, day, ${sums.join(', ')} from counted where sessions > 0
          on conflict (session_id) do update set ${each(sums, (column) => `${column} = excluded.${column}`)}),
        added as (
          insert into usage_days (user_id, day, ${sums.join(', ')}) select user_id, day, ${each(sums, (column) => `sum(${column})`)} from changed group by user_id, day order by user_id, day
          on conflict (user_id, day) do update set ${each(sums, (column) => `${column} = usage_days.${column} + excluded.${column}`)})
        select count(*)::int as due from due`, [limit])
      return counted!.due
    },

    async usageOf (sessionId, now, deadline) {
      const [usage] = await query<SessionUsage>(`
        select ${counters.join(', ')}, (
            select coalesce(json_agg(json_build_object('identity', identity, 'kind', kind, 'ms', ms)), '[]')
              from (select identity, kind, coalesce(sum(${lengthOf('$2::timestamptz')}), 0)::bigint as ms from participants p where p.session_id = s.id
                     group by identity, kind order by min(p.joined_at), identity limit ${LISTED}) listed) as participants
          from sessions s, lateral ${usedBy('$2::timestamptz')} where s.id = $1`, [sessionId, now], deadline)
      const none: SessionUsage = { ...Object.fromEntries(counters.map((column) => [column, 0])) as unknown as Counters, participants: [] }
      return usage ? numbers(usage, counters) : none // gone a moment ago
    },

    // Only what is asked for is in the statement, as in the history.
    async days ({ userId, from, to, after, limit }, deadline) {
      const values: unknown[] = []
      const value = (given: unknown) => `$${values.push(given)}`
      const conditions = [
        userId !== undefined && `user_id = ${value(userId)}`,
        from && `day >= ${value(from)}::date`,
        to && `day < ${value(to)}::date`,
        after && `(day, user_id) > (${value(after.day)}::date, ${value(after.user_id)})`
      ].filter(Boolean)
      const days = await query<Day>(`
        select day::text as day, user_id, ${sums.join(', ')} from usage_days ${conditions.length > 0 ? `where ${conditions.join(' and ')}` : ''} order by usage_days.day, user_id limit ${value(limit)}`, values, deadline, false)
      return days.map((day) => numbers(day, sums))
    },

    pruneDays: async (before, limit) => (await query(`
      delete from usage_days where (user_id, day) in (select user_id, day from usage_days where day < $1::date limit $2) returning 1`, [before, limit])).length
  }
}
