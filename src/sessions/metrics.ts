// What the rules tell whoever counts.
import type { Session } from './store.ts'
import type { ModeName } from './vocabulary.ts'

/** What a pass of the reconciler did, by kind. */
export interface PassResult {
  /** Sessions looked at. */
  checked: number
  /** What was put right, by kind. */
  corrected: Record<string, number>
  /** Sessions about which LiveKit could not be asked. */
  unanswered: number
  /** How long the most overdue of them had waited, ms. */
  lag: number
}

/** What a start came to: a new session, the same one again, refused for a reason of the caller's, failed for one of ours. */
export type StartOutcome = 'started' | 'replayed' | 'refused' | 'failed'

/** What became of an ingress. */
export type IngressOutcome = 'made' | 'failed' | 'removed'

export interface SessionMetrics {
  /** A start is about to be answered. */
  answered: (mode: ModeName, outcome: StartOutcome) => void
  started: (session: Session) => void
  ended: (session: Session) => void
  /** A session before and after a report about its room. */
  reported: (before: Session, after: Session) => void
  pass: (result: PassResult) => void
  /** Another agent was sent for; not `done` when LiveKit failed. */
  dispatched: (session: Session, done: boolean) => void
  /** A recording has come to another state. */
  recorded: (session: Session) => void
  /** An ingress was made or removed, or could not be made. */
  ingress: (session: Session, outcome: IngressOutcome) => void
  /** No agent came, however often one was sent for. */
  gaveUp: (session: Session, at: Date) => void
}

/** For tests and rules that nobody watches. */
export const noMetrics: SessionMetrics = { answered () {}, started () {}, ended () {}, reported () {}, pass () {}, dispatched () {}, recorded () {}, ingress () {}, gaveUp () {} }
