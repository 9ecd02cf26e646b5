// Ingresses in PostgreSQL: which are to be seen to. What has become of one is in the row of its session.
import type { IngressStore } from '../../src/sessions/ingress.ts'
import type { Session } from '../../src/sessions/store.ts'
import type { Database } from './query.ts'

export function createIngressStore ({ query }: Database): IngressStore {
  return {
    due: (now, leaseUntil, limit) => query<Session>(`
      update sessions s set ingress_check_at = $2
        from (select id from sessions where ingress_check_at <= $1 order by ingress_check_at limit $3 for update skip locked) due
       where s.id = due.id
      returning s.*`, [now, leaseUntil, limit])
  }
}
