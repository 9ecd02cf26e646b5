// What watching needs from the database: events in an order that holds, and the sessions in numbers.
import type { SessionEvent } from './store.ts'
import type { AgentState, ModeName } from './vocabulary.ts'

/** Where an event stands among all: `<transaction>.<number>`. */
export type Place = `${bigint}.${bigint}`
export type PlacedEvent = Pick<SessionEvent, 'session_id' | 'user_id' | 'at' | 'type' | 'actor' | 'data'> & { place: Place }

/** Sessions in numbers. */
export interface Counts {
  /** Those that have not ended, by mode, and by the state of their agent. */
  live: Record<ModeName, number>
  agents: Record<AgentState, number>
  /** Of the sessions started since then: how many, how many could not be, and of how many the agent was given up. */
  started: number
  start_failed: number
  agent_failed: number
  /** Sessions that ended since then. */
  ended: number
  /** From the start until the agent was there, ms, where the first one sent for came; null when none did. */
  agent_ms: { median: number | null, p95: number | null }
}

/** `deadline` is on the scale of the clock's `elapsed`; without it a statement may take 2 s. */
export interface EventStore {
  /** Events after the place `after`, in an order that no event to come changes: of one session, or of all; from the first one when not given. */
  after: (page: { sessionId?: string, after?: Place, limit: number }, deadline?: number) => Promise<PlacedEvent[]>
  /** The place that all events to come are after; the youngest of those that are there may be, too. */
  now: (deadline?: number) => Promise<Place>
  /** What goes on, and what became of the sessions since `since`. */
  counts: (since: Date, deadline?: number) => Promise<Counts>
}
