// Events as they happen: a stream of one session's, or of everybody's for administrators, resumed where it broke off.
import type { Audit } from './audit.ts'
import type { Call } from './caller.ts'
import type { Clock } from './clock.ts'
import { BadEventId, retryAfter, TooManyStreams } from './errors.ts'
import type { Counts, EventStore, Place, PlacedEvent } from './event-store.ts'
import type { Log } from './log.ts'

/** How often the database is asked for events, once for all streams of this process, ms. */
const POLL = 500
const PAGE = 500
/** Streams that one user may have open at once in this process. */
const STREAMS_PER_USER = 10
/** How long a stream lasts at most, ms: whoever comes again shows a token that is still good. */
const LIFETIME = 300_000
/** Silence after which a sign of life is sent, ms: proxies close what says nothing. */
const HEARTBEAT = 15_000
/** How old the counts may be, ms, and how far back they go. */
const FRESH = 2000
const HOUR = 3_600_000

/** Events that are there, or undefined as a sign of life. */
export type Beat = PlacedEvent | undefined

export interface StreamDependencies {
  events: EventStore
  audit: Audit
  clock: Clock
  log: Log
  isDraining: () => boolean
}

interface Listener extends Bell { userId: string, sessionId?: string }

/** Each stream is over, and its place free, when its signal aborts. `stop` ends all that are open. */
export function createStreams ({ events, audit, clock, log, isDraining }: StreamDependencies) {
  const listeners = new Set<Listener>()
  let stopped = false
  let polling = false
  let seen: Place | undefined
  let counted: { at: number, counts: Promise<Counts> } | undefined

  const isStopped = () => stopped
  const isOver = () => stopped || isDraining()

  /** While anybody listens, one question tells whose session has news; each stream then reads its own, from where it is. */
  async function poll (): Promise<void> {
    if (polling) return
    polling = true
    while (listeners.size > 0 && !isStopped()) {
      try {
        const news = await events.after({ after: seen, limit: PAGE })
        seen = news.at(-1)?.place ?? seen
        const sessions = new Set(news.map((event) => event.session_id))
        for (const { sessionId, wake } of listeners) {
          if (isOver() || (news.length > 0 && (!sessionId || sessions.has(sessionId)))) wake()
        }
        if (news.length === PAGE) continue
      } catch (err) {
        log.warn({ err }, 'events could not be read: streams wait')
      }
      await clock.sleep(POLL)
    }
    seen = undefined
    polling = false
  }

  /** From `page` on; ends with the session, with its time, when the client has gone, or with this process. */
  async function * follow (listener: Listener, signal: AbortSignal, place: Place | undefined, page: PlacedEvent[]): AsyncGenerator<Beat, void> {
    const until = clock.elapsed() + LIFETIME
    for (;;) {
      for (const event of page) {
        yield event
        place = event.place
      }
      if (listener.sessionId && page.some((event) => event.type === 'session.ended')) return
      if (page.length < PAGE) await listener.woken()
      if (signal.aborted || isOver() || clock.elapsed() > until) return
      page = await events.after({ sessionId: listener.sessionId, after: place, limit: PAGE })
      if (page.length === 0) yield undefined
    }
  }

  /** Takes one of the user's streams, then reads what is there already, so that whatever is wrong is known before anything is sent. */
  async function open (call: Call, signal: AbortSignal, lastEventId: string | undefined, sessionId?: string) {
    const place = lastEventId === undefined ? undefined : readPlace(lastEventId)
    const mine = [...listeners].filter((one) => one.userId === call.user.id).length
    if (mine >= STREAMS_PER_USER) throw retryAfter(new TooManyStreams(), 5, { limit: STREAMS_PER_USER })
    const listener = { userId: call.user.id, sessionId, ...createBell(HEARTBEAT) }
    if (!signal.aborted) listeners.add(listener)
    signal.addEventListener('abort', () => {
      listeners.delete(listener)
      listener.wake()
    })
    // Asked before the first page is read: what is written in between is on that page, or news.
    const now = await events.now(call.deadline)
    seen ??= now
    // Where nothing was said, one session is told from its beginning, and of everybody's what comes from now on.
    const from = place ?? (sessionId ? undefined : now)
    const first = await events.after({ sessionId, after: from, limit: PAGE }, call.deadline)
    poll().catch((err) => log.error({ err }, 'events are not read any more'))
    return { first, stream: follow(listener, signal, from, first) }
  }

  return {
    /**
     * The events of one's own session, or of any for an administrator, after the event `lastEventId`.
     * @returns undefined when the session is over and all of it has been told: there is nothing to come
     * @throws SessionNotFound, NotYourSession, BadEventId, TooManyStreams
     */
    async ofSession (call: Call, signal: AbortSignal, id: string, lastEventId?: string) {
      const session = await audit.findToRead(call, id, 'streamSessionEvents')
      const { first, stream } = await open(call, signal, lastEventId, session.id)
      return session.state === 'ended' && first.length === 0 ? undefined : stream
    },

    /**
     * Everybody's events from now on, or after the event `lastEventId`.
     * @throws AdminOnly, BadEventId, TooManyStreams
     */
    async ofAll (call: Call, signal: AbortSignal, lastEventId?: string) {
      await audit.onlyAdmin(call, 'streamEvents')
      await audit.read(call, undefined, { operation: 'streamEvents' })
      return (await open(call, signal, lastEventId)).stream
    },

    /** The sessions in numbers, those of the last hour and what goes on; 2 s old at most. @throws AdminOnly */
    async overview (call: Call) {
      await audit.onlyAdmin(call, 'getOverview')
      if (!counted || clock.elapsed() - counted.at > FRESH) {
        const counts = events.counts(new Date(clock.now() - HOUR))
        counted = { at: clock.elapsed(), counts }
        counts.catch(() => { counted = undefined })
      }
      return counted.counts
    },

    stop () {
      stopped = true
      for (const { wake } of listeners) wake()
    }
  }
}

export type Streams = ReturnType<typeof createStreams>

/** Numbers as PostgreSQL takes them: 64 bits without a sign for a transaction, with one for an event. */
function readPlace (id: string): Place {
  if (!/^(0|[1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,17})$/.test(id)) throw new BadEventId()
  return id as Place
}

type Bell = ReturnType<typeof createBell>

/** `woken` resolves once `wake` was called, also before, or after `patience` ms. */
function createBell (patience: number) {
  let rung = false
  let answer = () => {}
  return {
    wake () {
      rung = true
      answer()
    },
    async woken () {
      if (!rung) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, patience).unref()
          answer = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      }
      rung = false
    }
  }
}
