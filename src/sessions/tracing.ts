// How the rules tell a tracer what they are at: whose trace this is, and work that is a trace of its own.
import type { Session } from './store.ts'

export interface Tracing {
  /** What is under way here as a W3C traceparent (https://www.w3.org/TR/trace-context/#traceparent-header); undefined when nobody traces. */
  traceparent: () => string | undefined
  /** What is under way here is about this session: it bears the session's id, and a link to the trace of its start. */
  about: (session: Traced) => void
  /** Runs `work` as a trace of its own, linked to those of the sessions that it is about. */
  apart: <T>(name: string, sessions: Traced[], work: () => Promise<T>) => Promise<T>
}

export type Traced = Pick<Session, 'id' | 'traceparent'>

/** When nobody traces: costs a call of an empty function. */
export const noTracing: Tracing = { traceparent: () => undefined, about () {}, apart: (_name, _sessions, work) => work() }
