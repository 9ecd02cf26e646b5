// The service itself, in front of the agents: sessions started over its HTTP API, its watchdog at work.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startService as startProcess } from '../../../dev/prove/service.ts'
import { signUserToken } from '../../../dev/demo/token.ts'
import type { LiveKit } from './livekit.ts'
import { until } from './processes.ts'

const JWT_SECRET = 'a-secret-for-the-users-of-the-tests'

/** Where LiveKit has to send its webhooks for a service that will listen on `port`. */
export const webhookUrl = (port: number): string => `http://127.0.0.1:${port}/api/v1/livekit/webhook`

/** Starts the service with a database of its own. */
export async function startService (livekit: LiveKit, port: number, env: Record<string, string> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'agents-service-'))
  const service = await startProcess({ ...livekit.env, PORT: String(port), DATA_DIR: folder, JWT_SECRET, LOG_LEVEL: 'warn', RATE_LIMIT_PER_MINUTE: '0', START_LIMIT_PER_MINUTE: '0', ...env })
  const headers = (user: string) => ({ authorization: `Bearer ${signUserToken(JWT_SECRET, { sub: user, email: `${user}@example.com` })}`, 'content-type': 'application/json' })
  /** Asks again while the service says that it has too much to do: others keep the machine busy. */
  const ask = (what: string, init: RequestInit): Promise<Response> => until(`the service answers ${what}`, async () => {
    const response = await fetch(`${service.url}/api/v1${what}`, init)
    if (response.status !== 503) return response
    await sleep(500)
  }, 20_000)
  /** The user's latest session. */
  const latest = async (user: string) => {
    const { authorization } = headers(user)
    const { sessions } = await (await ask('/sessions?limit=1', { headers: { authorization } })).json() as { sessions: Array<{ id: string }> }
    return { id: sessions[0]!.id, authorization }
  }
  return {
    url: service.url,
    log: service.log,
    /** A user's token, as the app's own sign-in would give it. */
    token: (user: string) => headers(user).authorization.slice('Bearer '.length),
    /** POST start: what the user gets, and when it was asked for. */
    async start (user: string, agentType = 'workout', more: object = {}) {
      const startedAt = performance.now()
      const response = await ask('/voice-sessions/start', { method: 'POST', headers: headers(user), body: JSON.stringify({ agent_type: agentType, ...more }) })
      if (response.status !== 200) throw new Error(`start: ${response.status} ${await response.text()}`)
      const { room_name: roomName, token } = await response.json() as { room_name: string, token: string }
      return { roomName, token, startedAt }
    },
    /** What was said in the user's latest session. */
    async transcript (user: string) {
      const { id, authorization } = await latest(user)
      const response = await ask(`/sessions/${id}/transcript`, { headers: { authorization } })
      if (response.status !== 200) throw new Error(`transcript: ${response.status} ${await response.text()}`)
      return await response.json() as { state: string, summary: string | null, lines: Array<{ at: string, until: string, by: string, text: string }> }
    },
    /** What the user's latest session has used. */
    async usage (user: string) {
      const { id, authorization } = await latest(user)
      const response = await ask(`/sessions/${id}`, { headers: { authorization } })
      return (await response.json() as { usage: Record<string, number> & { participants: Array<{ identity: string, kind: string, seconds: number }> } }).usage
    },
    /** What the user used this month, by day. */
    async days (user: string) {
      const { authorization } = headers(user)
      const response = await fetch(`${service.url}/api/v1/usage`, { headers: { authorization } })
      return (await response.json() as { usage: Array<Record<string, number>> }).usage
    },
    async status (user: string, roomName: string) {
      const response = await fetch(`${service.url}/api/v1/voice-sessions/${roomName}/status`, { headers: headers(user) })
      return { status: response.status, body: await response.json() as { agent_connected?: boolean } }
    },
    async end (user: string, roomName: string): Promise<void> {
      const { authorization } = headers(user)
      const response = await ask(`/voice-sessions/${roomName}`, { method: 'DELETE', headers: { authorization } })
      if (response.status !== 200) throw new Error(`end: ${response.status} ${await response.text()}`)
    },
    async stop () {
      await service.stop()
      await rm(folder, { recursive: true, force: true })
    }
  }
}

export type Service = Awaited<ReturnType<typeof startService>>
