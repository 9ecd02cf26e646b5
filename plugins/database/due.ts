// Sessions about which something beside their life is to be seen to, taken by one of several replicas.
import type { Session } from '../../src/sessions/store.ts'
import type { Database } from './query.ts'

/** Takes up to `limit` that are due by a column, the longest due first; due again at `leaseUntil`. What another replica is taking is passed over. */
export const takeDue = ({ query }: Database, column: 'ingress_check_at' | 'recording_check_at') => (now: Date, leaseUntil: Date, limit: number) => query<Session>(`
  update sessions s set ${column} = $2
    from (select id from sessions where ${column} <= $1 order by ${column} limit $3 for update skip locked) due
   where s.id = due.id
  returning s.*`, [now, leaseUntil, limit])
