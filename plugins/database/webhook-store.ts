// Outgoing webhooks in PostgreSQL: the endpoints, and the outbox from which their messages are taken (session-store.ts writes it).
import type { DeliveryEntry, EndpointStore } from '../../src/sessions/endpoints.ts'
import type { Delivery, Endpoint, OutboxStore } from '../../src/sessions/outbox.ts'
import type { Session } from '../../src/sessions/store.ts'
import { noted, valuesOf } from './note.ts'
import type { Database } from './query.ts'

const entry = 'id, message_id, session_id, type, at, state, attempts, attempted_at, status, error, case when state = \'pending\' then nullif(next_attempt_at, \'-infinity\') end as next_attempt_at'

export function createWebhookStore ({ query }: Database): EndpointStore & OutboxStore {
  const one = async (text: string, values: unknown[], deadline?: number) => (await query<Endpoint>(text, values, deadline))[0]

  return {
    list: (deadline) => query<Endpoint>('select * from webhook_endpoints order by created_at, id', [], deadline),

    byId: (id, deadline) => one('select * from webhook_endpoints where id = $1', [id], deadline),

    create: ({ id, url, description, events, enabled, secret, created_at: at }, most, event, deadline) => one(`
      with written as (
        insert into webhook_endpoints (id, url, description, events, enabled, secret, created_at, updated_at)
        select $1::uuid, $2, $3, $4::text[], $5::boolean, $6, $7::timestamptz, $7 where (select count(*) from webhook_endpoints) < $8
        returning *),
      ${noted(9)}
      select * from written`, [id, url, description, events, enabled, secret, at, most, ...valuesOf(event)], deadline),

    change: (id, { url, description, events, enabled }, event, deadline) => one(`
      with written as (
        update webhook_endpoints set url = coalesce($2, url), description = coalesce($3, description), events = coalesce($4, events), enabled = coalesce($5, enabled), updated_at = $7
         where id = $1 returning *),
      ${noted(6)}
      select * from written`, [id, url ?? null, description ?? null, events ?? null, enabled ?? null, ...valuesOf(event)], deadline),

    rotate: (id, secret, until, event, deadline) => one(`
      with written as (
        update webhook_endpoints set secret = $2, old_secret = secret, old_secret_until = $3, updated_at = $5 where id = $1 returning *),
      ${noted(4)}
      select * from written`, [id, secret, until, ...valuesOf(event)], deadline),

    remove: (id, event, deadline) => one(`
      with written as (delete from webhook_endpoints where id = $1 returning *),
      messages as (delete from webhook_deliveries where endpoint_id = $1),
      ${noted(2)}
      select * from written`, [id, ...valuesOf(event)], deadline),

    deliveries: (endpointId, { state, before, limit }, deadline) => query<DeliveryEntry>(`
      select ${entry} from webhook_deliveries where endpoint_id = $1 ${state ? `and state = '${state}'` : ''} and ($2::bigint is null or id < $2) order by id desc limit $3`,
    [endpointId, before ?? null, limit], deadline),

    revive: async (endpointId, id, giveUpAt, event, deadline) => (await query<DeliveryEntry>(`
      with written as (
        update webhook_deliveries set state = 'pending', next_attempt_at = $5, give_up_at = $3
         where endpoint_id = $1 and id = $2 and state = 'dead' returning *),
      ${noted(4)}
      select ${entry} from written`, [endpointId, id, giveUpAt, ...valuesOf(event)], deadline))[0],

    hasDelivery: async (endpointId, id, deadline) => (await query('select 1 from webhook_deliveries where endpoint_id = $1 and id = $2', [endpointId, id], deadline)).length > 0,

    dueEndpoints: (now) => query<Endpoint>(`
      select * from webhook_endpoints e
       where enabled and exists (select 1 from webhook_deliveries where endpoint_id = e.id and state = 'pending' and next_attempt_at <= $1)`, [now]),

    // The first of its session that is not over: ids are given under the lock of the session's row, so they are the order of its changes.
    async claim (endpointId, now, leaseUntil, limit) {
      const claimed = await query<Delivery>(`
        update webhook_deliveries d set attempts = attempts + 1, attempted_at = $2, next_attempt_at = $3
          from (select id from webhook_deliveries c
                 where endpoint_id = $1 and state = 'pending' and next_attempt_at <= $2
                   and not exists (select 1 from webhook_deliveries where endpoint_id = $1 and session_id = c.session_id and state = 'pending' and id < c.id)
                 order by next_attempt_at, id limit $4 for update skip locked) due
         where d.id = due.id
        returning d.*`, [endpointId, now, leaseUntil, limit])
      return claimed.map((delivery) => ({ ...delivery, session: withTimes(delivery.session) }))
    },

    // Those behind it would be looked at again and again while it fails.
    async settle ({ id, attempts }, { state, next_attempt_at: at, status, error }) {
      await query(`
        with settled as (
          update webhook_deliveries set state = $3, next_attempt_at = $4, status = $5, error = $6
           where id = $1 and attempts = $2 and state = 'pending' returning endpoint_id, session_id)
        update webhook_deliveries d set next_attempt_at = $4 from settled s
         where d.endpoint_id = s.endpoint_id and d.session_id = s.session_id and d.state = 'pending' and d.id > $1`, [id, attempts, state, at, status, error])
    }
  }
}

const time = (at: unknown) => at === null ? null : new Date(at as string)

/** The snapshot is JSON, where times are text. */
function withTimes (session: Session): Session {
  return { ...session, agent_joined_at: time(session.agent_joined_at), created_at: time(session.created_at)!, ended_at: time(session.ended_at), expires_at: time(session.expires_at)! }
}
