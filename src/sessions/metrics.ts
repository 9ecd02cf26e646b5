// What the rules tell whoever counts.
import type { Session } from './store.ts'

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

export interface SessionMetrics {
  started: (session: Session) => void
  ended: (session: Session) => void
  /** A session before and after a report about its room. */
  reported: (before: Session, after: Session) => void
  pass: (result: PassResult) => void
}

/** For tests and rules that nobody watches. */
export const noMetrics: SessionMetrics = { started () {}, ended () {}, reported () {}, pass () {} }
