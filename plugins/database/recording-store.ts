// Recordings in PostgreSQL: which are to be seen to, and files that are to be deleted. What a recording has come to is in the row of its session.
import type { LeftFile, RecordingStore } from '../../src/sessions/recordings.ts'
import { takeDue } from './due.ts'
import type { Database } from './query.ts'

export function createRecordingStore (database: Database): RecordingStore {
  const { query } = database
  return {
    due: takeDue(database, 'recording_check_at'),

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
