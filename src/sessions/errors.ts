// What the rules refuse, as coded errors: what a client can be told, each with the status of its answer.

/** What an error carries beside its text: members and headers of the answer, context of the log line. */
export interface Details {
  members?: Record<string, unknown>
  headers?: Record<string, string>
  context?: Record<string, unknown>
  /** How long the answer waits, ms. */
  delay?: number
  /** Its text tells nothing internal: a 5xx is answered with it, too. */
  told?: boolean
}

export class SessionError extends Error {
  readonly code: string
  /** HTTP status of the answer. */
  readonly statusCode: number

  constructor (code: string, message: string, statusCode: number, options?: ErrorOptions) {
    super(message, options)
    this.name = code
    this.code = code
    this.statusCode = statusCode
  }
}

const sessionError = (code: string, message: string, statusCode: number) => class extends SessionError {
  constructor (options?: ErrorOptions) { super(code, message, statusCode, options) }
}

/** Adds what the problem document, the response headers or the log line need beyond the error's own text. */
export function withDetails<T extends Error> (error: T, details: Details): T {
  return Object.assign(error, details)
}

/** The same for what may be tried again after `seconds`: RFC 9110 section 10.2.3. */
export function retryAfter<T extends Error> (error: T, seconds: number, members: Record<string, unknown> = {}): T {
  return withDetails(error, { members: { retry_after: seconds, ...members }, headers: { 'retry-after': String(seconds) } })
}

/** No such session, or it is over: the same for everybody (A4.3). */
export const SessionNotFound = sessionError('SESSION_NOT_FOUND', 'Session not found', 404)
/** Somebody else's live session (A4.2). */
export const NotYourSession = sessionError('NOT_YOUR_SESSION', 'Not your session', 403)
/** The user has as many live sessions as one may have (D4). */
export const TooManySessions = sessionError('TOO_MANY_SESSIONS', 'You have as many sessions as one user may have. End one to start another.', 429)
/** The user starts sessions faster than START_LIMIT_PER_MINUTE. */
export const TooManyStarts = sessionError('TOO_MANY_STARTS', 'You have started too many sessions in the last minute. Wait before the next one.', 429)
/** The user has been connected as long as MONTHLY_MINUTES_PER_USER allows in a calendar month. */
export const MonthlyLimitReached = sessionError('MONTHLY_LIMIT_REACHED', 'You have used all your minutes of this month.', 429)
/** An Idempotency-Key that was used for another request (D3). */
export const KeyReused = sessionError('IDEMPOTENCY_KEY_REUSED', 'This Idempotency-Key was used for a different request. Use a new key.', 422)
/** The first request with this Idempotency-Key is still at work (D3). */
export const StartInProgress = sessionError('START_IN_PROGRESS', 'A start with this Idempotency-Key is still running. Try again in a moment.', 409)
/** The session that this Idempotency-Key started is over (D3). */
export const StartedSessionEnded = sessionError('STARTED_SESSION_ENDED', 'The session that this Idempotency-Key started has ended. Use a new key to start another.', 409)
/** The session was ended while it was still being started. */
export const EndedWhileStarting = sessionError('ENDED_WHILE_STARTING', 'The session was ended while it was being started.', 409)
/** Only an administrator may ask for this. */
export const AdminOnly = sessionError('ADMIN_ONLY', 'Only an administrator may do this.', 403)
/** A cursor that no list gave. */
export const BadCursor = sessionError('BAD_CURSOR', 'The cursor is not one of this list.', 400)

/** A Last-Event-ID that no stream gave. */
export const BadEventId = sessionError('BAD_EVENT_ID', 'The Last-Event-ID is not one of this stream.', 400)
/** The user has as many event streams open as one may have. */
export const TooManyStreams = sessionError('TOO_MANY_STREAMS', 'You have too many event streams open. Close one to open another.', 429)

/** No such category, or one that is disabled (B3). */
export const CategoryNotFound = sessionError('CATEGORY_NOT_FOUND', 'Counselor category not found or disabled', 404)
/** A session that needs its agent did not get one (B6); the cause says which of the two it was. */
export const AgentDidNotCome = sessionError('AGENT_DID_NOT_COME', 'The agent did not come', 500)

/** No such endpoint of outgoing webhooks. */
export const EndpointNotFound = sessionError('ENDPOINT_NOT_FOUND', 'Webhook endpoint not found', 404)
/** Every change of a session writes one message to each endpoint: there are few of them. */
export const TooManyEndpoints = sessionError('TOO_MANY_ENDPOINTS', 'There are as many webhook endpoints as there may be. Delete one to make another.', 422)
/** An address that webhooks are not sent to; the problem document says which rule it breaks. */
export const EndpointRefused = sessionError('ENDPOINT_REFUSED', 'Webhooks are not sent to this address.', 422)
/** No such delivery of this endpoint. */
export const DeliveryNotFound = sessionError('DELIVERY_NOT_FOUND', 'Delivery not found', 404)
/** Only what was given up is sent again. */
export const DeliveryNotDead = sessionError('DELIVERY_NOT_DEAD', 'This delivery has not been given up.', 409)

/** A transcript was asked for where none are kept (TRANSCRIPTS). */
export const TranscriptsOff = sessionError('TRANSCRIPTS_OFF', 'Transcripts are not kept here. Start without one.', 422)
/** A recording was asked for where none are made (RECORDINGS). */
export const RecordingsOff = sessionError('RECORDINGS_OFF', 'Sessions are not recorded here. Start without a recording.', 422)
/** None was asked for. */
export const RecordingNotFound = sessionError('RECORDING_NOT_FOUND', 'This session has no recording', 404)

/** An ingress was asked for where no streams are taken in (INGRESS). */
export const IngressOff = sessionError('INGRESS_OFF', 'Streams are not taken in here.', 422)
/** One at a time. */
export const IngressExists = sessionError('INGRESS_EXISTS', 'This session has an ingress. Delete it to make another.', 409)
/** It was deleted by another request while it was being made. */
export const IngressDeleted = sessionError('INGRESS_DELETED', 'The ingress was deleted while it was being made.', 409)
/** LiveKit did not make or remove it: it is away, has no Redis, or no address for streams; the cause says which. */
export const IngressUnavailable = sessionError('INGRESS_UNAVAILABLE', 'Streams cannot be taken in right now. Try again later.', 503)

/** None was asked for, or it was deleted. */
export const TranscriptNotFound = sessionError('TRANSCRIPT_NOT_FOUND', 'This session has no transcript', 404)
/** Its key is not in TRANSCRIPT_KEYS any more, or what is stored is not what was written; the cause says which. */
export const TranscriptUnreadable = sessionError('TRANSCRIPT_UNREADABLE', 'The transcript cannot be read', 500)
/** What an agent shows is no token of a call, or of one that is long over. */
export const AgentTokenInvalid = sessionError('AGENT_TOKEN_INVALID', 'A valid token of the session\'s agent is required.', 401)

export const ToolTokensOff = sessionError('TOOL_TOKENS_OFF', 'No tokens for tools are given out here.', 422)
/** It is whole, deleted, or gone with its session: the agent stops to write. */
export const TranscriptClosed = sessionError('TRANSCRIPT_CLOSED', 'This transcript takes nothing more.', 409)
/** As much was written as one transcript may hold. */
export const TranscriptFull = sessionError('TRANSCRIPT_FULL', 'This transcript is as long as one may be.', 409)
/** More processes than one session can have had reported what they used. */
export const UsageFull = sessionError('USAGE_FULL', 'This session takes no more reports.', 409)
