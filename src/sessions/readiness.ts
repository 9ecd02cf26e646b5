// Whether the service can serve: its database answers, LiveKit answers, and it is not about to stop.

import type { Clock } from './clock.ts'
import type { Rooms } from './rooms.ts'
import type { SessionStore } from './store.ts'

/** How long an answer stands, ms: probes of any number cost one look each second. */
const FRESH = 1000
const LIMIT = 2000

export interface ReadinessDependencies {
  store: Pick<SessionStore, 'ping'>
  livekit: Pick<Rooms, 'listParticipants'>
  clock: Clock
}

export interface Ready { status: 'ready' | 'not ready' | 'draining', database: string, livekit: string }

/**
 * The question behind `GET /readyz`. Answers within 2 s; `drain()` makes it say no from then on, at once: it asks nobody any more,
 * because a balancer that waits for an answer goes on sending requests.
 */
export function createReadiness ({ store, livekit, clock }: ReadinessDependencies) {
  let draining = false
  let last: { at: number, answer: Promise<Ready> } | undefined
  let known = { database: 'unknown', livekit: 'unknown' }

  const works = (question: Promise<unknown>) => Promise.race([
    question.then(() => 'ok', () => 'unreachable'),
    new Promise<string>((resolve) => { setTimeout(resolve, LIMIT, 'unreachable').unref() })
  ])

  async function look (): Promise<Ready> {
    const [database, room] = await Promise.all([
      works(store.ping()),
      works(livekit.listParticipants('readiness', clock.elapsed() + LIMIT))
    ])
    known = { database, livekit: room }
    return { status: database === 'ok' && room === 'ok' ? 'ready' : 'not ready', ...known }
  }

  const isDraining = () => draining
  const stopping = (): Ready => ({ status: 'draining', ...known })

  const readiness = async (): Promise<Ready> => {
    if (isDraining()) return stopping()
    if (!last || clock.elapsed() - last.at > FRESH) last = { at: clock.elapsed(), answer: look() }
    const answer = await last.answer
    return isDraining() ? stopping() : answer
  }
  return Object.assign(readiness, { drain: () => { draining = true }, isDraining })
}

export type Readiness = ReturnType<typeof createReadiness>
