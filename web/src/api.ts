// The service as a page calls it: typed by its API document, as the user whose token the page was opened with.
import { EventSource } from 'eventsource'
import createClient from 'openapi-fetch'
import type { components, paths } from '../../clients/typescript/src/schema.ts'
import { texts } from './texts.ts'

export type Problem = components['schemas']['Problem']
export type Session = components['schemas']['Session']
export type SessionEvent = components['schemas']['SessionEvent'] & { session_id: string | null, user_id: string | null }
export type Overview = components['schemas']['Overview']
export type Category = components['schemas']['CounselorCategoryEntry']

const KEY = 'livekit-sessions.token'
/** From an answer that does not stand to the next question, ms. */
const PAUSE = 3000

/** Who a token says that one is, as the pages show it; the service alone knows whether it is true. Nobody when it is no token, or has run out. */
export function ownerOf (token: string | null): { sub: string, name: string } | undefined {
  try {
    const payload = atob(token!.split('.')[1]!.replaceAll('-', '+').replaceAll('_', '/'))
    const { sub, email, exp } = JSON.parse(new TextDecoder().decode(Uint8Array.from(payload, (character) => character.charCodeAt(0))))
    return exp * 1000 < Date.now() ? undefined : { sub, name: email || sub }
  } catch {}
}

/** `#token=...`, which no server sees, is kept for this tab and taken out of the address; a link to somebody else's account only if the user wishes so. */
export function readToken (): string | undefined {
  const given = new URLSearchParams(location.hash.slice(1)).get('token')
  if (given) {
    const [before, after] = [ownerOf(sessionStorage.getItem(KEY)), ownerOf(given)]
    if (!before || (after && (after.sub === before.sub || window.confirm(texts.signInAs(before.name, after.name))))) keepToken(given)
    history.replaceState(null, '', location.pathname + location.search)
  }
  return sessionStorage.getItem(KEY) ?? undefined
}

export function keepToken (token: string): void {
  sessionStorage.setItem(KEY, token)
}

export function dropToken (): void {
  sessionStorage.removeItem(KEY)
}

export const createApi = (token: string) => createClient<paths>({ baseUrl: location.origin, headers: { authorization: `Bearer ${token}` } })
export type Api = ReturnType<typeof createApi>

/** What the service refused, or that it could not be reached (status 0). */
export class Refused extends Error {
  readonly status: number
  /** The last part of the problem's type: `too-many-sessions`. */
  readonly problem: string

  constructor (status: number, problem?: Partial<Problem>) { // what a proxy says is none
    super(problem?.detail ?? 'no answer')
    this.status = status
    this.problem = problem?.type?.split(':').at(-1) ?? 'away'
  }
}

/** The data of an answer. @throws Refused */
export async function answer<T> (call: Promise<{ data?: T, error?: unknown, response: Response }>): Promise<T> {
  const { data, error, response } = await call.catch(() => { throw new Refused(0) })
  if (!response.ok) throw new Refused(response.status, error as Problem | undefined)
  return data as T
}

/** Fetches until an answer stands: what is said while a replica restarts (429, 5xx, nothing) ends nothing that lasts. */
export async function untilAnswered (input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  for (;;) {
    const response = await fetch(input, init).catch((error: Error) => { if (error.name === 'AbortError') throw error })
    if (response && response.status !== 429 && response.status < 500) return response
    await new Promise((resolve) => { setTimeout(resolve, PAUSE) })
  }
}

/** A stream of events. EventSource goes on by itself when it breaks off, but gives up for good at any status other than 200. */
export const openEvents = (path: string, token: string) => new EventSource(path, {
  fetch: (url, init) => untilAnswered(url, { ...init, headers: { ...init.headers, authorization: `Bearer ${token}` } })
})
