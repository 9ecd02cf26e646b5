// What the rules need from the database: the record of a session and the few ways it may change.
import type { AgentState, AgentType, EndReason, EventType, IngressKind, IngressState, ModeName, RecordingState, State, TranscriptState } from './vocabulary.ts'

/** One user's room from start to end, as it stands in the table `sessions`. */
export interface Session {
  id: string
  mode: ModeName
  room_name: string
  room_sid: string | null
  user_id: string
  agent_type: AgentType | null
  category_id: string | null
  category_name: string | null
  slot: number
  state: State
  ended_by: string | null
  end_reason: EndReason | null
  idempotency_key: string | null
  /** Of the request that started it: goes with the dispatch into the agent's log. */
  request_id: string
  /** W3C traceparent of the request that started it, when that was traced. */
  traceparent: string | null
  /** Null when none was asked for. */
  transcript: TranscriptState | null
  /** A summary is to be in it. */
  summary: boolean
  /** What it used is in the usage of its day, as it stands now. */
  counted: boolean
  /** Null when none was asked for. */
  recording: RecordingState | null
  /** The object that holds it, and the egress that makes it, once that is known. */
  recording_file: string | null
  recording_egress: string | null
  /** How often LiveKit was asked to record. */
  recording_asks: number
  recording_started_at: Date | null
  recording_ended_at: Date | null
  /** When the recording is seen to next; null when there is nothing to see to. */
  recording_check_at: Date | null
  /** Null when there is none, and none is to be. */
  ingress: IngressState | null
  ingress_kind: IngressKind | null
  /** LiveKit's id of it, once that is known. */
  ingress_id: string | null
  /** How often LiveKit was asked for one: each has its number in its name. */
  ingress_asks: number
  /** Until when LiveKit may still make one that it was asked for and gave no answer about. */
  ingress_doubt_until: Date | null
  /** When LiveKit is asked what there is; null when nothing can be. */
  ingress_check_at: Date | null
  /** A conversation in writing: neither side has a voice. */
  text_only: boolean
  /** Language that was asked for (BCP 47); null = the agent's own. */
  language: string | null
  agent_state: AgentState
  agent_dispatches: number
  episode_dispatches: number
  agent_dispatched_at: Date | null
  agent_joined_at: Date | null
  user_joined_at: Date | null
  seen_sids: string
  created_at: Date
  expires_at: Date
  ended_at: Date | null
  /** When LiveKit said that the room is finished. */
  finished_at: Date | null
  /** When somebody came in, or was found to be in, after the end had begun. */
  revived_at: Date | null
  watch_until: Date | null
  next_check_at: Date | null
  /** Fences the writes of a start, an end or a look: whoever takes the row over raises it, and what was begun before lands no more. */
  check_no: number
}

export type NewSession = Pick<Session, 'id' | 'mode' | 'room_name' | 'user_id' | 'agent_type' | 'category_id' | 'category_name' | 'idempotency_key' | 'request_id' | 'traceparent' | 'transcript' | 'summary' | 'recording' | 'recording_file' | 'recording_check_at' | 'text_only' | 'language' | 'agent_state' | 'agent_dispatches' | 'created_at' | 'expires_at' | 'next_check_at'> & {
  /** Until when its starter may be at work. */
  lease_until: Date
}

/** One participant's time in a room, keyed by LiveKit's participant sid. */
export interface Stay {
  sid: string
  identity: string
  kind: string
  joined_at: Date | null
  /** When it left, or the end of the session when nobody told of it before. */
  left_at: Date | null
  /** LiveKit said so; otherwise it was only not listed any more, or its room ended. */
  left_told: boolean
  /** It went because the room went, not by itself. */
  with_room: boolean
  /** An agent that said it hangs up: attribute session.end = agent. */
  hung_up: boolean
  /** An agent that said it ends the call because its user keeps silent: attribute session.end = idle. */
  user_silent: boolean
}

/** One line of the history and audit trail. `actor` is `user:<id>`, `admin:<id>`, `livekit` or `service`. */
export interface SessionEvent {
  session_id: string | null
  user_id: string | null
  at: Date
  type: EventType
  actor: string
  data: Record<string, unknown>
  livekit_id?: string
}

/** What a decision does to a session, its stays and its history: written in one statement or not at all. */
export interface Change {
  session?: Partial<Omit<Session, 'id' | 'check_no'>>
  stays?: Stay[]
  events?: Array<Omit<SessionEvent, 'session_id' | 'user_id'>>
}

export interface HistoryFilter {
  /** Of one user; of all when not given. */
  userId?: string
  mode?: ModeName
  state?: State
  /** Created at or after, and before. */
  from?: Date
  to?: Date
  after?: { created_at: Date, id: string }
  limit: number
}

/** Which session is to end: any by its id, or its user's own, which needs no look at whose it is before. */
export type EndKey = Pick<Session, 'id'> | Pick<Session, 'room_name' | 'mode' | 'user_id'>

/** Which session a change is about; with `check_no` only while that look still holds it. */
export type ChangeKey = { room_name: string } | { id: string, check_no: number }

/**
 * The store. Every transition is one conditional statement; `undefined` means that somebody else decided: obey.
 * `deadline` is on the scale of the clock's `elapsed`; without it a statement may take 2 s.
 */
export interface SessionStore {
  /** Inserts into the user's lowest free slot, in one statement that is exact under any race; undefined = no slot, key in use, too many starts, or too much used. */
  claim: (session: NewSession, limits: { slots: number, startsPerMinute: number, /** Milliseconds of connection in the month of the start; no limit when not given. */ connectedMs?: number }, deadline?: number) => Promise<Session | undefined>
  /** The session that this user's key stands for; failed starts free their key. */
  byKey: (userId: string, key: string, deadline?: number) => Promise<Session | undefined>
  /** What of the limits a user has used at `now`; starts that failed count for neither. */
  usage: (userId: string, now: Date, deadline?: number) => Promise<{ live: number, recent: number, oldest: Date | null }>
  /** How long a user has been connected in the month (UTC) of `now`, ms: what is counted, and what is not counted yet. */
  connectedThisMonth: (userId: string, now: Date, deadline?: number) => Promise<number>
  byRoom: (roomName: string, deadline?: number) => Promise<Session | undefined>
  byId: (id: string, deadline?: number) => Promise<Session | undefined>
  /** A start whose starter is over (its lease has run out) changes hands: at most one takes it, and the other's writes land no more. */
  takeOver: (id: string, take: { now: Date, lease_until: Date, next_check_at: Date }, deadline?: number) => Promise<Session | undefined>
  /** starting -> live, for the starter that holds the row. Never touches the agent columns: a webhook may have been first. */
  goLive: (id: string, checkNo: number, live: { room_sid: string, expires_at: Date, next_check_at: Date, actor: string, now: Date }, deadline?: number) => Promise<Session | undefined>
  /** starting -> ended, for whoever holds the start: its slot and its key are free at once. `next_check_at` null = there is no room to look for. */
  failStart: (id: string, checkNo: number, end: { now: Date, watch_until: Date, next_check_at: Date | null }, deadline?: number) => Promise<Session | undefined>
  /** The user's live sessions of a mode, newest first: what they are, never what the server holds (D6). */
  liveOf: (userId: string, mode: ModeName, deadline?: number) => Promise<Session[]>
  /** starting, live, or an ending that is abandoned or held by the look `holding` -> ending, under a lease until `lease_until`. */
  beginEnd: (key: EndKey, end: { reason: EndReason, by: string, now: Date, lease_until: Date, holding?: number }, deadline?: number) => Promise<Session | undefined>
  /** ending -> ended, if this is still the end that `beginEnd` began. The next look is `late` when LiveKit has said that the room is finished and nobody came after. */
  finishEnd: (id: string, checkNo: number, end: { now: Date, watch_until: Date, next_check_at: Date | null, late: Date | null }, deadline?: number) => Promise<Session | undefined>
  /**
   * Lets `decide` look at the session and its stays (the latest ones, and those of `sids`), and writes what it decides.
   * When the session changed meanwhile, it is decided anew: `decide` must have no effects.
   */
  change: (key: ChangeKey, decide: (session: Session, stays: Stay[]) => Change | undefined, sids?: string[], deadline?: number) => Promise<Session | undefined>
  /** Takes up to `limit` sessions that are due, for this look only, and leases them. */
  claimDue: (now: Date, leaseUntil: Date, limit: number) => Promise<Array<Session & { due_at: Date }>>
  /** Gives looked-at sessions back, each with the time of its next look, or sooner where one was asked for meanwhile. */
  release: (looks: Array<{ id: string, check_no: number, next_check_at: Date | null }>) => Promise<void>
  /** Sessions as `filter` says, newest first, after `filter.after` (the last one of the page before). */
  history: (filter: HistoryFilter, deadline?: number) => Promise<Session[]>
  /** What happened to a session, oldest first: the last `limit` of it, or of what was before the event `before`. */
  eventsOf: (sessionId: string, page: { before?: string, limit: number }, deadline?: number) => Promise<Array<Pick<SessionEvent, 'at' | 'type' | 'actor' | 'data'> & { id: string }>>
  /** Deletes up to `limit` sessions that ended, and as many events that are from, before `before`; says how many there were. */
  prune: (before: Date, limit: number) => Promise<number>
  /** How many sessions have not ended, by mode and state. */
  countLive: () => Promise<Array<{ mode: ModeName, state: State, count: number }>>
  /** Writes one line of the audit trail that belongs to no change. */
  note: (event: SessionEvent, deadline?: number) => Promise<void>
  /** Whether the database answers: for readiness. */
  ping: () => Promise<void>
}
