// What can go wrong in a call to LiveKit, as coded errors that carry no secret.
import createError from '@fastify/error'
import { BrokenCircuitError } from 'cockatiel'
import { ServerError } from 'livekit-server-sdk'
import { retryAfter } from '../../src/sessions/errors.ts'
import type { Outcome } from '../../src/sessions/rooms.ts'

/** LiveKit was asked and did not do it: answered 500 with a generic text (A8.2). */
export const LiveKitFailed = createError('LIVEKIT_FAILED', 'LiveKit did not answer as it should', 500)
/** LiveKit was not asked, because it has been failing: try again in a second. */
export const LiveKitUnavailable = createError('LIVEKIT_UNAVAILABLE', 'The service is not available right now. Try again later.', 503)

export interface LiveKitError extends Error {
  outcome: Outcome
  /** HTTP status of LiveKit's answer, if there was one. */
  liveKitStatus?: number
}

/** The status LiveKit answered with; undefined when no answer came. Its text is never matched: it changes between versions. */
export function statusOf (error: unknown): number | undefined {
  return error instanceof ServerError ? error.status : undefined
}

/** Whether the failure says that LiveKit is away, rather than that this one call was wrong. */
export function isOutage (error: unknown): boolean {
  if ((error as { code?: string }).code === NO_TIME_LEFT) return false
  const status = statusOf(error)
  return status === undefined || status >= 500
}

/** Code of a call that was not begun because the request's deadline was there. */
export const NO_TIME_LEFT = 'NO_TIME_LEFT'
const neverConnected = new Set([NO_TIME_LEFT, 'ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT', 'ERR_TLS_CERT_ALTNAME_INVALID'])

/**
 * Translates whatever the SDK, the transport or the breaker threw.
 * LiveKit's own text is left out: a 401 can echo the whole token (livekit.md section 6).
 */
export function toLiveKitError (error: unknown, method: string): LiveKitError {
  if (error instanceof BrokenCircuitError) {
    return Object.assign(retryAfter(new LiveKitUnavailable(), 1), { outcome: 'not_sent' as const, context: { method } })
  }
  const status = statusOf(error)
  if (status !== undefined) {
    const code = (error as ServerError).code
    const cause = new Error(`LiveKit answered ${method} with ${status}${code ? ` ${code}` : ''}`)
    return Object.assign(new LiveKitFailed({ cause }), { outcome: status < 500 ? 'refused' as const : 'unknown' as const, liveKitStatus: status, context: { method } })
  }
  const { code, name } = error as { code?: string, name?: string }
  const cause = new Error(`LiveKit did not answer ${method}: ${code ?? name ?? 'unknown error'}`, { cause: error })
  return Object.assign(new LiveKitFailed({ cause }), { outcome: code && neverConnected.has(code) ? 'not_sent' as const : 'unknown' as const, context: { method } })
}
