// A stand-in for Beyond Presence: the API that starts an avatar, and an avatar process that does what the real one does in the room.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { start, type Started } from './processes.ts'

export interface BeyBehaviour {
  /** The answer of the API; 201 when not given. */
  status?: number
  /** Milliseconds until it answers. */
  delay?: number
  /** Milliseconds from its answer until the avatar is started. */
  late?: number
  /** Says 201, but no avatar comes. */
  absent?: boolean
}

export async function startBey (apiKey: string) {
  const avatars: Started[] = []
  const requests: Array<{ avatar_id: string, livekit_url: string }> = []
  const state: BeyBehaviour = {}
  const server = createServer(async (request, response) => {
    let raw = ''
    for await (const chunk of request) raw += chunk
    if (request.method !== 'POST' || request.url !== '/v1/session') return response.writeHead(404).end()
    if (request.headers['x-api-key'] !== apiKey) return response.writeHead(401).end()
    const body = JSON.parse(raw) as { avatar_id: string, livekit_url: string, livekit_token: string }
    requests.push({ avatar_id: body.avatar_id, livekit_url: body.livekit_url })
    await sleep(state.delay ?? 0)
    if (state.status) return response.writeHead(state.status).end('{"detail":"no"}')
    const come = () => avatars.push(start(process.execPath, ['--import', 'tsx', join(import.meta.dirname, 'bey-avatar.ts'), body.livekit_url, body.livekit_token]))
    if (state.late) setTimeout(come, state.late)
    else if (!state.absent) come()
    response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify({ id: 'session', ...body }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    avatars,
    /** Changes how the next request is answered. */
    behave (next: BeyBehaviour) {
      for (const key of Object.keys(state)) delete state[key as keyof BeyBehaviour]
      Object.assign(state, next)
    },
    async stop () {
      server.close()
      server.closeAllConnections()
      await Promise.all(avatars.map((avatar) => avatar.stop(2000)))
    }
  }
}
