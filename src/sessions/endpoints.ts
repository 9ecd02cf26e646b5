// The endpoints of outgoing webhooks, for administrators: where messages go, which, and what became of each.
import { randomBytes, randomUUID } from 'node:crypto'
import type { Audit } from './audit.ts'
import type { Call } from './caller.ts'
import type { Clock } from './clock.ts'
import { cursorOf, readCursor } from './cursor.ts'
import { DeliveryNotDead, DeliveryNotFound, EndpointNotFound, EndpointRefused, TooManyEndpoints, withDetails } from './errors.ts'
import type { Delivery, Endpoint } from './outbox.ts'
import type { SessionEvent } from './store.ts'
import type { DeliveryState, MessageType } from './vocabulary.ts'

export interface EndpointWishes { url?: string, events?: MessageType[], description?: string, enabled?: boolean }

/** A delivery as administrators see it. */
export type DeliveryEntry = Pick<Delivery, 'id' | 'message_id' | 'session_id' | 'type' | 'at' | 'state' | 'attempts'> & {
  attempted_at: Date | null
  /** Null once it is over, and before the first attempt. */
  next_attempt_at: Date | null
  status: number | null
  error: string | null
}

/** Each `event` is on record with its change, or neither is. */
export interface EndpointStore {
  list: (deadline?: number) => Promise<Endpoint[]>
  byId: (id: string, deadline?: number) => Promise<Endpoint | undefined>
  /** Undefined when there are `most` already. */
  create: (endpoint: Omit<Endpoint, 'old_secret' | 'old_secret_until' | 'updated_at'>, most: number, event: SessionEvent, deadline?: number) => Promise<Endpoint | undefined>
  change: (id: string, wishes: EndpointWishes, event: SessionEvent, deadline?: number) => Promise<Endpoint | undefined>
  /** The secret becomes the old one, which signs until `until`. */
  rotate: (id: string, secret: string, until: Date, event: SessionEvent, deadline?: number) => Promise<Endpoint | undefined>
  /** With all its deliveries. */
  remove: (id: string, event: SessionEvent, deadline?: number) => Promise<Endpoint | undefined>
  /** Newest first, those before `before`. */
  deliveries: (endpointId: string, page: { state?: DeliveryState, before?: string, limit: number }, deadline?: number) => Promise<DeliveryEntry[]>
  /** dead -> pending, due at once, to be given up at `giveUpAt`. */
  revive: (endpointId: string, id: string, giveUpAt: Date, event: SessionEvent, deadline?: number) => Promise<DeliveryEntry | undefined>
  hasDelivery: (endpointId: string, id: string, deadline?: number) => Promise<boolean>
}

export interface EndpointsDependencies {
  endpoints: EndpointStore
  audit: Audit
  clock: Clock
  /** Why webhooks are not sent to this address; undefined when they are. */
  refusal: (url: string) => string | undefined
}

/** Each change of a session writes a row for each of them. */
const MOST = 20
const DAY = 86_400_000 // ms

export function createEndpoints ({ endpoints, audit, clock, refusal }: EndpointsDependencies) {
  const later = (ms: number) => new Date(clock.now() + ms)

  /** @throws EndpointRefused, naming the rule */
  function check (url: string | undefined) {
    const message = url && refusal(url)
    if (message) throw withDetails(new EndpointRefused(), { members: { errors: [{ in: 'body', path: '/url', message }] } })
  }

  function found<T> (one: T | undefined): T {
    if (!one) throw new EndpointNotFound()
    return one
  }

  return {
    async list (call: Call) {
      await audit.onlyAdmin(call, 'listWebhookEndpoints')
      return { endpoints: (await endpoints.list(call.deadline)).map(withoutSecret) }
    },

    async get (call: Call, id: string) {
      await audit.onlyAdmin(call, 'getWebhookEndpoint')
      return withoutSecret(found(await endpoints.byId(id, call.deadline)))
    },

    /** Its secret is shown this once. @throws EndpointRefused, TooManyEndpoints */
    async create (call: Call, wishes: EndpointWishes & Required<Pick<EndpointWishes, 'url' | 'events'>>): Promise<Endpoint> {
      await audit.onlyAdmin(call, 'createWebhookEndpoint')
      check(wishes.url)
      const id = randomUUID()
      const created = await endpoints.create({ id, url: wishes.url, events: wishes.events, description: wishes.description ?? '', enabled: wishes.enabled ?? true, secret: newSecret(), created_at: later(0) }, MOST,
        audit.change(call, 'endpoint.created', { endpoint: id }), call.deadline)
      if (!created) throw withDetails(new TooManyEndpoints(), { members: { limit: MOST } })
      return created
    },

    /** Changes what is given; what is on its way already goes to the new address. @throws EndpointRefused */
    async change (call: Call, id: string, wishes: EndpointWishes) {
      await audit.onlyAdmin(call, 'changeWebhookEndpoint')
      check(wishes.url)
      return withoutSecret(found(await endpoints.change(id, wishes, audit.change(call, 'endpoint.changed', { endpoint: id, changed: Object.keys(wishes) }), call.deadline)))
    },

    /** A new secret, shown this once; for a day the old one signs as well, so that receivers can change over. */
    async rotate (call: Call, id: string): Promise<Endpoint> {
      await audit.onlyAdmin(call, 'rotateWebhookSecret')
      return found(await endpoints.rotate(id, newSecret(), later(DAY), audit.change(call, 'endpoint.secret_rotated', { endpoint: id }), call.deadline))
    },

    async remove (call: Call, id: string) {
      await audit.onlyAdmin(call, 'deleteWebhookEndpoint')
      found(await endpoints.remove(id, audit.change(call, 'endpoint.deleted', { endpoint: id }), call.deadline))
      return { status: 'deleted' as const, id }
    },

    /** What became of its messages, newest first. @throws BadCursor */
    async deliveries (call: Call, id: string, query: { state?: DeliveryState, cursor?: string, limit?: string }) {
      await audit.onlyAdmin(call, 'listWebhookDeliveries')
      found(await endpoints.byId(id, call.deadline))
      const limit = Number(query.limit ?? 20)
      const entries = await endpoints.deliveries(id, { state: query.state, before: query.cursor ? readCursor(query.cursor) : undefined, limit: limit + 1 }, call.deadline)
      const page = entries.slice(0, limit)
      return { deliveries: page, next_cursor: entries.length > limit ? cursorOf(page.at(-1)!.id) : null }
    },

    /** Sends what was given up again, for another day. @throws DeliveryNotFound, DeliveryNotDead */
    async retry (call: Call, id: string, deliveryId: string): Promise<DeliveryEntry> {
      await audit.onlyAdmin(call, 'retryWebhookDelivery')
      const revived = await endpoints.revive(id, deliveryId, later(DAY), audit.change(call, 'delivery.retried', { endpoint: id, delivery: deliveryId }), call.deadline)
      if (revived) return revived
      throw await endpoints.hasDelivery(id, deliveryId, call.deadline) ? new DeliveryNotDead() : new DeliveryNotFound()
    }
  }
}

export type Endpoints = ReturnType<typeof createEndpoints>

/** Standard Webhooks asks for 24 to 64 random bytes. */
const newSecret = () => `whsec_${randomBytes(32).toString('base64')}`

function withoutSecret ({ secret: _secret, old_secret: _old, ...endpoint }: Endpoint) {
  return endpoint
}
