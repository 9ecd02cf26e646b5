// Recordings in PostgreSQL: which are to be seen to, and files that are to be deleted. What a recording has come to is in the row of its session.
import type { LeftFile, RecordingStore } from '../../src/sessions/recordings.ts'
import type { Session } from '../../src/sessions/store.ts'
import type { Database } from './query.ts'

export function createRecordingStore ({ query }: Database): RecordingStore {
  return {
    due: (now, leaseUntil, limit) => query<Session>(`
      update sessions s set recording_check_at = $2
        from (select id from sessions where recording_check_at <= $1 order by recording_check_at limit $3 for update skip locked) due
       where s.id = due.id
      returning s.*`, [now, leaseUntil, limit]),

    leftDue: (now, leaseUntil, limit) => query<LeftFile>(`
      update recordings_left l set check_at = $2, attempts = attempts + 1
        from (select file from recordings_left where check_at <= $1 order by check_at limit $3 for update skip locked) due
       where l.file = due.file
      returning l.file, l.room_name, l.attempts`, [now, leaseUntil, limit]),

    async putOff (file, until) {
      await query('update recordings_left set check_at = $2 where file = $1', [file, until])
    },

    async forget (file) {
      await query('delete from recordings_left where file = $1', [file])
    }
  }
}
