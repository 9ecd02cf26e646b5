// The coded errors of the rules: what a client can be told, each with its status.
import createError from '@fastify/error'

/** No such session, or it is over: the same for everybody (A4.3). */
export const SessionNotFound = createError('SESSION_NOT_FOUND', 'Session not found', 404)
/** Somebody else's live session (A4.2). */
export const NotYourSession = createError('NOT_YOUR_SESSION', 'Not your session', 403)
/** The user has as many live sessions as one may have (D4). */
export const TooManySessions = createError('TOO_MANY_SESSIONS', 'You have as many sessions as one user may have. End one to start another.', 429)
/** The user starts sessions faster than START_LIMIT_PER_MINUTE. */
export const TooManyStarts = createError('TOO_MANY_STARTS', 'You have started too many sessions in the last minute. Wait before the next one.', 429)
/** An Idempotency-Key that was used for another request (D3). */
export const KeyReused = createError('IDEMPOTENCY_KEY_REUSED', 'This Idempotency-Key was used for a different request. Use a new key.', 422)
/** The first request with this Idempotency-Key is still at work (D3). */
export const StartInProgress = createError('START_IN_PROGRESS', 'A start with this Idempotency-Key is still running. Try again in a moment.', 409)
/** The session that this Idempotency-Key started is over (D3). */
export const StartedSessionEnded = createError('STARTED_SESSION_ENDED', 'The session that this Idempotency-Key started has ended. Use a new key to start another.', 409)
/** The session was ended while it was still being started. */
export const EndedWhileStarting = createError('ENDED_WHILE_STARTING', 'The session was ended while it was being started.', 409)
/** Only an administrator may ask for this. */
export const AdminOnly = createError('ADMIN_ONLY', 'Only an administrator may do this.', 403)
/** A cursor that no list gave. */
export const BadCursor = createError('BAD_CURSOR', 'The cursor is not one of this list.', 400)

/** No such category, or one that is disabled (B3). */
export const CategoryNotFound = createError('CATEGORY_NOT_FOUND', 'Counselor category not found or disabled', 404)
/** A session that needs its agent did not get one (B6); the cause says which of the two it was. */
export const AgentDidNotCome = createError('AGENT_DID_NOT_COME', 'The agent did not come', 500)
