// Events in the order in which their transactions were over, and the sessions in numbers: what watching reads.
import type { Counts, EventStore, Place, PlacedEvent } from '../../src/sessions/event-store.ts'
import { agentStates, modeNames } from '../../src/sessions/vocabulary.ts'
import type { Database } from './query.ts'

const countBy = (column: string, words: readonly string[]) => `json_build_object(${words.map((word) => `'${word}', count(*) filter (where ${column} = '${word}')`).join(', ')})`

export function createEventStore ({ query }: Database): EventStore {
  return {
    // A number is given before its transaction is over: only what no running transaction can still come before is shown (009.do.event-stream.sql).
    after ({ sessionId, after = '0.0', limit }, deadline) {
      return query<PlacedEvent>(`
        select tx || '.' || id as place, session_id, user_id, at, type, actor, data from session_events
         where ${sessionId ? 'session_id = $4 and' : ''} (tx, id) > ($1::xid8, $2::bigint) and tx < pg_snapshot_xmin(pg_current_snapshot())
         order by tx, id limit $3`, [...after.split('.'), limit, ...(sessionId ? [sessionId] : [])], deadline)
    },

    async now (deadline) {
      return (await query<{ place: Place }>('select pg_snapshot_xmin(pg_current_snapshot()) || \'.0\' as place', [], deadline))[0]!.place
    },

    async counts (since, deadline) {
      const rows = await query<Counts>(`
        select live, agents, started, start_failed, agent_failed, (select count(*)::int from sessions where ended_at >= $1) as ended,
               json_build_object('median', round(ms[1]), 'p95', round(ms[2])) as agent_ms
          from (select ${countBy('mode', modeNames)} as live, ${countBy('agent_state', agentStates)} as agents from sessions where ended_at is null) now,
               (select count(*)::int as started,
                       (count(*) filter (where end_reason = 'start_failed'))::int as start_failed,
                       (count(*) filter (where agent_state = 'failed'))::int as agent_failed,
                       percentile_cont(array[0.5, 0.95]) within group (order by greatest(0, extract(epoch from agent_joined_at - created_at)::float8 * 1000))
                         filter (where agent_dispatches = 1 and agent_joined_at is not null) as ms
                  from sessions where created_at >= $1) since`, [since], deadline)
      return rows[0]!
    }
  }
}
