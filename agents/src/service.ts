// How the agents hand things over to the service: one request, with the token of the session.

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
