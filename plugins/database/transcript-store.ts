// Transcripts in PostgreSQL: sealed lines, appended while their session's row is held, so that none lands after the word that there are no more.
import type { SealedLine, TranscriptStore } from '../../src/sessions/transcripts.ts'
import type { Database } from './query.ts'
import { addMessages } from './session-store.ts'

/** What one transcript may hold, as sent: bytes, each line counted with what its row takes. And the processes that may write one. */
const MOST = 8 * 1024 * 1024
const ROW = 100
const WRITERS = 100

export function createTranscriptStore ({ query }: Database): TranscriptStore {
  return {
    // The row is held until the lines are there: whoever makes the transcript ready or deletes it comes before all of them or after.
    async append (sessionId, { writer, done, lines }, endedAfter, deadline) {
      const [outcome] = await query<{ open: boolean, full: boolean }>(`
        with open as materialized (
          select id from sessions where id = $1 and transcript = 'writing' and (ended_at is null or ended_at > $2) for share),
        used as materialized (
          select coalesce(sum(bytes), 0) >= ${MOST} as is_full, count(*) >= ${WRITERS} and not bool_or(writer = $3) as is_crowded from transcript_writers where session_id = $1),
        written as (
          insert into transcript_lines (session_id, writer, seq, revision, at, key_id, sealed)
          select o.id, $3::uuid, l.seq, l.revision, l.at, l.key_id, decode(l.sealed, 'base64')
            from open o cross join used cross join json_to_recordset($5) as l (seq integer, revision integer, at timestamptz, key_id text, sealed text)
           where not is_full and not is_crowded
          on conflict (session_id, writer, seq) do update set revision = excluded.revision, at = excluded.at, key_id = excluded.key_id, sealed = excluded.sealed
            where transcript_lines.revision < excluded.revision
          returning octet_length(sealed) + ${ROW} as bytes),
        wrote as (
          insert into transcript_writers (session_id, writer, done, bytes)
          select o.id, $3, $4, (select coalesce(sum(bytes), 0) from written) from open o cross join used where not is_crowded
          on conflict (session_id, writer) do update set done = transcript_writers.done or excluded.done, bytes = transcript_writers.bytes + excluded.bytes)
        select exists (select 1 from open) as open, is_full or is_crowded as full from used`,
      [sessionId, endedAfter, writer, done, JSON.stringify(lines.map(({ sealed, ...line }) => ({ ...line, sealed: sealed.toString('base64') })))], deadline)
      return !outcome!.open ? 'closed' : outcome!.full && lines.length > 0 ? 'full' : 'written'
    },

    linesOf: (sessionId, deadline) => query<SealedLine>('select writer, seq, revision, at, key_id, sealed from transcript_lines where session_id = $1 order by at, writer, seq', [sessionId], deadline),

    async due (endedUntil, limit) {
      const due = await query<{ id: string }>('select id from sessions where transcript = \'writing\' and ended_at is not null and (ended_at <= $1 or transcript_is_whole(id)) order by ended_at limit $2', [endedUntil, limit])
      return due.map(({ id }) => id)
    },

    // Held first, then asked about: whoever was writing is through, and seen.
    makeReady: async (id, endedUntil, now) => (await query(`
      with held as materialized (
        select id, ended_at from sessions where id = $1 and transcript = 'writing' and ended_at is not null for update),
      whole as materialized (
        select id from held where ended_at <= $2 or transcript_is_whole(id)),
      ready as (
        update sessions s set transcript = 'ready' from whole where s.id = whole.id returning s.*),
      noted as (
        insert into session_events (session_id, user_id, at, type, actor, data) select id, user_id, $3::timestamptz, 'transcript.ready', 'service', '{}' from ready returning id, at, type),
      ${addMessages('ready')}
      select 1 from ready`, [id, endedUntil, now])).length > 0,

    // Two statements: the second sees every line of those who held the row before the first.
    async remove (id, event, deadline) {
      await query(`
        with deleted as (update sessions set transcript = 'deleted' where id = $1 and transcript in ('writing', 'ready') returning id)
        insert into session_events (session_id, user_id, at, type, actor, data) select $1, $2, $3, $4, $5, $6 from deleted`,
      [id, event.user_id, event.at, event.type, event.actor, event.data], deadline)
      await query('delete from transcript_lines where session_id = $1', [id], deadline)
    },

    removeLeft: async (limit) => (await query(`
      delete from transcript_lines where id in (
        select l.id from sessions s join transcript_lines l on l.session_id = s.id where s.transcript = 'deleted' limit $1) returning 1`, [limit])).length
  }
}
