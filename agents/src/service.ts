// How the agents hand things over to the service: one request, with the token of the session.
import type { Metadata } from './metadata.ts'

/** What the service has for one session's agent: the address below which it takes things, and the token for it. */
export interface Service { url: URL, token: string }

/** As the dispatch tells; none where the service does not say how it is reached. */
export function serviceOf ({ service, session_id: id }: Pick<Metadata, 'service' | 'session_id'>): Service | undefined {
  return service && { url: new URL(`/api/v1/agent/sessions/${id}/`, service.url), token: service.token }
}

/** Milliseconds one request may take, between two tries (twice as long each time, up to the second), and for what is left at the end of the call. */
const REQUEST = 5000
export const PAUSES = { first: 250, longest: 5000 }
export const FAREWELL = 5000

/** Posts to the service. @returns the status of its answer */
export async function post (url: URL, token: string, body: object, giveUp: AbortSignal): Promise<number> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
    redirect: 'error',
    signal: AbortSignal.any([AbortSignal.timeout(REQUEST), giveUp])
  })
  await response.arrayBuffer()
  return response.status
}

/** Answers that a later try could not change: the token or the session is over, or we are wrong. */
export const isFinal = (status: number): boolean => status >= 400 && status < 500 && status !== 408 && status !== 429
