// Users who live their lives over HTTP while something happens to the service: what they were answered, how fast, and what became of their sessions.
import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'undici'
import { signUserToken } from '../demo/token.ts'

/** One request; status 0 when there was no answer, `code` that of a problem document. Times in ms, `at` on the scale of performance.now(). */
export interface Sample { at: number, operation: string, status: number, ms: number, code?: string }

export interface TrafficOptions {
  url: string
  secret: string
  /** How many users at once. */
  users: number
  /** Between two requests of a user, ms. */
  pause: number
  /** What the users' names begin with. */
  prefix?: string
  /** A token for a user; HS256 with `secret` when not given. */
  sign?: (user: string) => string
}

export type Traffic = ReturnType<typeof startTraffic>

const ANSWER_WITHIN = 15_000 // ms

/**
 * Starts the users: each starts a session, looks at it twice, lists, rejoins and ends it, and begins anew.
 * What failed is not repeated, but an end is, until it is certain: as an app does that does not want to pay for a lost session.
 */
export function startTraffic ({ url, secret, users, pause, prefix = 'user', sign = (user) => signUserToken(secret, { sub: user }) }: TrafficOptions) {
  const pool = new Pool(url, { connections: users, pipelining: 1, headersTimeout: ANSWER_WITHIN, bodyTimeout: ANSWER_WITHIN, connect: { timeout: 5000 } })
  const samples: Sample[] = []
  /** Rooms that a start was answered with. */
  const started = new Set<string>()
  /** Rooms whose end was answered 200 or 404. */
  const ended = new Set<string>()
  const over = new AbortController()

  async function call (user: string, token: string, operation: string, method: 'GET' | 'POST' | 'DELETE', path: string): Promise<{ status: number, body: any }> {
    const at = performance.now()
    let status = 0
    let body: any
    try {
      const answer = await pool.request({ path: `/api/v1/voice-sessions${path}`, method, headers: { authorization: `Bearer ${token}` } })
      body = await answer.body.json()
      status = answer.statusCode
    } catch {} // no answer
    samples.push({ at, operation, status, ms: performance.now() - at, code: body?.type?.split(':').at(-1) })
    return { status, body }
  }

  const lives = Array.from({ length: users }, async (_, n) => {
    const user = `${prefix}-${n}`
    await sleep(pause * n / users)
    while (!over.signal.aborted) {
      const token = sign(user)
      const { status, body } = await call(user, token, 'start', 'POST', '/start')
      if (status === 200) {
        const room = body.room_name as string
        started.add(room)
        for (const [operation, method, path] of [['status', 'GET', `/${room}/status`], ['active', 'GET', '/active'], ['token', 'POST', `/${room}/token`], ['status', 'GET', `/${room}/status`]] as const) {
          await sleep(pause)
          if (over.signal.aborted) break
          await call(user, token, operation, method, path)
        }
        for (let tries = 0; tries < 100; tries++) {
          const { status } = await call(user, sign(user), 'end', 'DELETE', `/${room}`)
          if (status === 200 || status === 404) {
            ended.add(room)
            break
          }
          await sleep(Math.max(pause, 100))
        }
      }
      await sleep(pause)
    }
  })

  return {
    samples,
    started,
    ended,
    /** The samples from `since` on, of one operation or of all. */
    since: (since: number, operation?: string) => samples.filter((one) => one.at >= since && (!operation || one.operation === operation)),
    /** Lets every user end what they have, then stops. */
    async stop () {
      over.abort()
      await Promise.all(lives)
      await pool.close()
    }
  }
}

/** How often each status came, `200: 31, 503: 4`. */
export function statuses (samples: Sample[]): string {
  const counts = new Map<number, number>()
  for (const { status } of samples) counts.set(status, (counts.get(status) ?? 0) + 1)
  return [...counts].sort(([a], [b]) => a - b).map(([status, count]) => `${status || 'none'}: ${count}`).join(', ') || 'none'
}
