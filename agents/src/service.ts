// How the agents hand things over to the service: with the token of the session, until it has them.
import { setTimeout as sleep } from 'node:timers/promises'
import { reasonOf, type Logger } from './log.ts'
import type { Metadata } from './metadata.ts'

/** What the service has for one session's agent: the address below which it takes things, and the token for it. */
export interface Service { url: URL, token: string }

/** As the dispatch tells; none where the service does not say how it is reached. */
export function serviceOf ({ service, session_id: id }: Pick<Metadata, 'service' | 'session_id'>): Service | undefined {
  return service && { url: new URL(`/api/v1/agent/sessions/${id}/`, service.url), token: service.token }
}

/** Milliseconds one request may take, between two tries (twice as long each time, up to the second), and for what is left at the end of the call. */
const REQUEST = 5000
const PAUSES = { first: 250, longest: 5000 }
export const FAREWELL = 5000

export interface HandOver {
  service: Service
  /** Below the service's address for the session; names in the log what is handed over. */
  path: string
  log: Logger
  /** Ends the tries, and the pauses between them. */
  giveUp: AbortSignal
}

/**
 * Hands something over to the service: again and again, until it has it or never will.
 * @param body asked for anew before each try, because more may have come meanwhile
 * @returns whether the service has it; if not, a later try could not change that, or there is no more time
 */
export async function handOver ({ service, path, log, giveUp }: HandOver, body: () => object): Promise<boolean> {
  const url = new URL(path, service.url)
  for (let pause = PAUSES.first; !giveUp.aborted; pause = Math.min(pause * 2, PAUSES.longest)) {
    let reason: string
    try {
      const status = await post(url, service.token, body(), giveUp)
      if (status === 200) return true
      if (isFinal(status)) {
        log.warn({ status, what: path }, 'the service takes no more of this')
        return false
      }
      reason = `status ${status}`
    } catch (error) {
      reason = reasonOf(error)
    }
    if (giveUp.aborted) break
    if (pause === PAUSES.first) log.warn({ reason, what: path }, 'not handed over to the service: trying again')
    await sleep(pause, undefined, { signal: giveUp }).catch(() => {})
  }
  return false
}

/** @returns the status of the answer */
async function post (url: URL, token: string, body: object, giveUp: AbortSignal): Promise<number> {
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
const isFinal = (status: number): boolean => status >= 400 && status < 500 && status !== 408 && status !== 429
