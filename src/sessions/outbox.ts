// Delivers what the outbox holds: each message to its endpoint at least once, the messages of one session in their order, no endpoint waiting for another.
import type { Clock } from './clock.ts'
import type { Log } from './log.ts'
import { toRecord } from './record.ts'
import type { Session } from './store.ts'
import type { DeliveryState, MessageType } from './vocabulary.ts'

/** Where the app's backend is told of sessions. */
export interface Endpoint {
  id: string
  url: string
  description: string
  /** What it is told of. */
  events: MessageType[]
  /** Nothing is written for one that is not, and what was written before waits. */
  enabled: boolean
  /** Standard Webhooks: whsec_ and base64. */
  secret: string
  /** The one before, which signs as well until then. */
  old_secret: string | null
  old_secret_until: Date | null
  created_at: Date
  updated_at: Date
}

/** One message on its way to one endpoint. */
export interface Delivery {
  id: string
  endpoint_id: string
  /** The same for every endpoint and every attempt: what a receiver tells repetitions by. */
  message_id: string
  session_id: string
  type: MessageType
  at: Date
  /** The session as the change left it. */
  session: Session
  state: DeliveryState
  /** Fences the word on an attempt: each attempt raises it. */
  attempts: number
  give_up_at: Date
}

export interface Outcome {
  state: DeliveryState
  /** When it is tried again; for one that is over, from when on the session's next message may go. */
  next_attempt_at: Date
  /** HTTP status of the answer; null = there was none. */
  status: number | null
  /** A code that says why it failed; nothing of what the endpoint answered. */
  error: string | null
}

export interface OutboxStore {
  /** The enabled endpoints for which something is due. */
  dueEndpoints: (now: Date) => Promise<Endpoint[]>
  /** Takes up to `limit` messages of an endpoint that are due, each the first of its session that is not over; due again at `leaseUntil`. */
  claim: (endpointId: string, now: Date, leaseUntil: Date, limit: number) => Promise<Delivery[]>
  /** The word on an attempt, if this is still the latest one. The messages of that session behind it go no sooner than it says. */
  settle: (delivery: Pick<Delivery, 'id' | 'attempts'>, outcome: Outcome) => Promise<void>
}

export interface WebhookSender {
  /**
   * One POST, signed with each of the secrets, over within 10 s.
   * @returns the status of the answer; a redirect is not followed
   * @throws Error with a `code` when there was no answer
   */
  send: (target: { url: string, secrets: string[] }, message: { id: string, body: string }, signal: AbortSignal) => Promise<number>
}

export interface OutboxMetrics {
  /** An attempt was answered, or not, after `ms`. */
  attempted: (outcome: 'delivered' | 'retried' | 'dead', ms: number) => void
}

export interface OutboxDependencies {
  store: OutboxStore
  sender: WebhookSender
  clock: Clock
  log: Log
  metrics?: OutboxMetrics
}

const EVERY = 500 // ms
/** Attempts at one endpoint at once, of one process: a slow endpoint has all of its own, and none of another's. */
const IN_FLIGHT = 8
/** An attempt that nobody has spoken of after this is made again: the process is dead, ms. */
const LEASE = 30_000
/** How long a process that stops waits for its attempts, ms. */
const PATIENCE = 2000
/** From one attempt to the next, s; the last one again and again, and once more at the end of the day. */
const PAUSES = [5, 30, 120, 600, 1800, 3600, 7200, 14_400]
/** What is added to a pause by chance, so that what failed together does not come back together. */
const JITTER = 0.2

/** Any number of replicas may run one: what one has claimed no other takes. */
export function createOutbox ({ store, sender, clock, log, metrics = { attempted () {} } }: OutboxDependencies) {
  /** Places that are taken, by endpoint. */
  const taken = new Map<string, number>()
  const underWay = new Set<Promise<void>>()
  const stopping = new AbortController()
  let ending = false
  let timer: NodeJS.Timeout | undefined

  function begin (work: Promise<void>) {
    const mine = work.catch((err) => log.error({ err }, 'webhooks could not be seen to: they stay in the outbox')).finally(() => { underWay.delete(mine) })
    underWay.add(mine)
  }

  const take = (endpoint: Endpoint, places: number) => taken.set(endpoint.id, (taken.get(endpoint.id) ?? 0) + places)

  /** Fills the free places of an endpoint with what is due; each message that is over makes place for the next. */
  async function fill (endpoint: Endpoint): Promise<void> {
    const free = IN_FLIGHT - (taken.get(endpoint.id) ?? 0)
    if (free <= 0 || ending) return
    take(endpoint, free)
    let due: Delivery[] = []
    try {
      due = await store.claim(endpoint.id, new Date(clock.now()), new Date(clock.now() + LEASE), free)
    } finally {
      take(endpoint, due.length - free)
    }
    for (const delivery of due) {
      begin(attempt(endpoint, delivery).finally(() => {
        take(endpoint, -1)
        begin(fill(endpoint))
      }))
    }
  }

  async function attempt (endpoint: Endpoint, delivery: Delivery): Promise<void> {
    const began = clock.elapsed()
    const { type, at, session } = delivery
    const secrets = [endpoint.secret, ...(endpoint.old_secret && endpoint.old_secret_until!.getTime() > clock.now() ? [endpoint.old_secret] : [])]
    const body = JSON.stringify({ type, timestamp: at, data: toRecord(session) })
    let status: number | null = null
    let error: string | null = null
    try {
      status = await sender.send({ url: endpoint.url, secrets }, { id: delivery.message_id, body }, stopping.signal)
      if (status < 200 || status > 299) error = status >= 300 && status < 400 ? 'REDIRECTED' : 'REFUSED'
    } catch (failure) {
      error = String((failure as { code?: unknown }).code ?? 'FAILED').slice(0, 100)
    }
    if (error && stopping.signal.aborted) return // nobody knows what became of it: it is sent again

    const next = error ? nextAttempt(delivery, clock.now()) : undefined
    const state = !error ? 'delivered' : next ? 'pending' : 'dead'
    await store.settle(delivery, { state, next_attempt_at: next ?? new Date(clock.now()), status, error })
    metrics.attempted(state === 'pending' ? 'retried' : state, clock.elapsed() - began)
    const fields = { endpointId: endpoint.id, deliveryId: delivery.id, sessionId: delivery.session_id, type, attempts: delivery.attempts, status, reason: error }
    if (state === 'pending') log.warn(fields, 'webhook not delivered: tried again later')
    if (state === 'dead') log.error(fields, 'webhook given up')
  }

  async function look (): Promise<void> {
    for (const endpoint of await store.dueEndpoints(new Date(clock.now()))) begin(fill(endpoint))
  }

  async function drain (): Promise<void> {
    while (underWay.size > 0) await Promise.all(underWay)
  }

  return {
    /** Delivers what is due; resolves when nothing is left that could go now. */
    async deliver (): Promise<void> {
      await look()
      await drain()
    },
    /** Looks twice a second for what is due, until `stop`. */
    start () {
      timer = setInterval(() => { begin(look()) }, EVERY).unref()
    },
    /** What is on its way has a moment; then it is left to whoever comes next. */
    async stop () {
      clearInterval(timer)
      const patience = setTimeout(() => stopping.abort(), PATIENCE)
      ending = true
      await drain()
      clearTimeout(patience)
    }
  }
}

export type Outbox = ReturnType<typeof createOutbox>

/** When what has failed so often is tried again; undefined when its day is over. */
export function nextAttempt ({ attempts, give_up_at: giveUpAt }: Pick<Delivery, 'attempts' | 'give_up_at'>, now: number, chance = Math.random()): Date | undefined {
  if (now >= giveUpAt.getTime()) return undefined
  const pause = PAUSES[Math.min(attempts, PAUSES.length) - 1]! * 1000 * (1 + JITTER * chance)
  return new Date(Math.min(now + pause, giveUpAt.getTime()))
}
