// LiveKit as the service uses it: rooms, participants, dispatches, join tokens. Bounded, repeated once where that is safe, counted.
import { randomUUID } from 'node:crypto'
import { circuitBreaker, ConsecutiveBreaker, handleWhen } from 'cockatiel'
import { ParticipantInfo_Kind as Kind } from '@livekit/protocol'
import { AccessToken, AgentDispatchClient, RoomServiceClient, TrackSource } from 'livekit-server-sdk'
import { Counter, Histogram, type Registry } from 'prom-client'
import type { Rooms } from '../../src/sessions/rooms.ts'
import { isOutage, LiveKitFailed, NO_TIME_LEFT, statusOf, toLiveKitError } from './errors.ts'
import { toParticipant } from './participants.ts'
import { createServiceTokens } from './service-token.ts'
import { createTransport, through, type Rpc } from './transport.ts'

/** Longest that one attempt of a call may take, ms. */
const CALL_LIMIT = 3000
/** A call with less than this left is not begun, ms. */
const LEAST_TIME = 20

const sources = { camera: TrackSource.CAMERA, microphone: TrackSource.MICROPHONE, screen_share: TrackSource.SCREEN_SHARE, screen_share_audio: TrackSource.SCREEN_SHARE_AUDIO }

export interface LiveKitOptions {
  url: string
  apiKey: string
  apiSecret: string
  metrics: Registry
  /** Told of a failed attempt that is repeated; failures that are thrown are logged by whoever catches them. */
  onRepeat?: (method: string, error: Error) => void
}

/**
 * Opens the one LiveKit client of the process (A1.3).
 * Every call takes a `deadline` on the scale of performance.now(): it gets 3 s or what is left, whichever is less.
 * @throws LiveKitFailed when LiveKit was asked and failed, LiveKitUnavailable while the circuit is open
 */
export function createLiveKit ({ url, apiKey, apiSecret, metrics, onRepeat }: LiveKitOptions): Rooms & { close: () => Promise<void> } {
  const isCloud = new URL(url).hostname.endsWith('.livekit.cloud')
  // On Cloud the SDK's own transport stays: it fails over between regions, and does so only with 5 s or more.
  const options = { requestTimeout: 5 }
  const rooms = new RoomServiceClient(url, apiKey, apiSecret, options)
  const dispatches = new AgentDispatchClient(url, apiKey, apiSecret, options)
  const transport = isCloud ? undefined : createTransport(url)

  const calls = new Counter({ name: 'livekit_requests_total', help: 'Calls to LiveKit by method and outcome', labelNames: ['method', 'outcome'] as const, registers: [metrics] })
  const seconds = new Histogram({ name: 'livekit_request_duration_seconds', help: 'Duration of calls to LiveKit', labelNames: ['method'] as const, buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3], registers: [metrics] })
  const breaker = circuitBreaker(handleWhen(isOutage), { halfOpenAfter: 1000, breaker: new ConsecutiveBreaker(10) })

  rooms.authHeader = dispatches.authHeader = createServiceTokens(apiKey, apiSecret)

  /** One call: within its time, behind the breaker, repeated once if `repeatable`, counted, its error translated. */
  async function call<Client extends RoomServiceClient | AgentDispatchClient, Answer> (
    method: string, client: Client, deadline: number, repeatable: boolean, send: (client: Client) => Promise<Answer>
  ): Promise<Answer> {
    const stop = seconds.startTimer({ method })
    const attempt = () => {
      const left = Math.min(CALL_LIMIT, deadline - performance.now())
      if (left < LEAST_TIME) throw Object.assign(new Error('no time left'), { code: NO_TIME_LEFT })
      return send(transport ? through(client, transport.within(left) as Rpc) : client)
    }
    try {
      const answer = await breaker.execute(async () => {
        try {
          return await attempt()
        } catch (error) {
          if (!repeatable || !worthRepeating(error)) throw error
          onRepeat?.(method, toLiveKitError(error, method))
          calls.inc({ method, outcome: 'repeated' })
          return await attempt()
        }
      })
      calls.inc({ method, outcome: 'ok' })
      return answer
    } catch (error) {
      const failure = toLiveKitError(error, method)
      calls.inc({ method, outcome: failure.liveKitStatus === 404 ? 'not_found' : failure.outcome })
      throw failure
    } finally {
      stop()
    }
  }

  /** On Cloud, removing participants with a revocation is what kills their tokens; nothing else does. Written to the protocol's word, not run. */
  async function revokeTokens (name: string, deadline: number) {
    const now = BigInt(Math.floor(Date.now() / 1000))
    const participants = await call('ListParticipants', rooms, deadline, true, (client) => client.listParticipants(name))
    for (const { identity, kind } of participants) {
      if (kind === Kind.STANDARD) await call('RemoveParticipant', rooms, deadline, false, (client) => client.removeParticipant(name, identity, { revokeTokenTs: now })).catch(() => {})
    }
  }

  const anytime = () => performance.now() + 2 * CALL_LIMIT

  return {
    /** Creates the room and dispatches its agent. LiveKit answers with the room as it is when the name lives already. */
    async createRoom (spec, deadline = anytime()) {
      const { sid } = await call('CreateRoom', rooms, deadline, true, (client) => client.createRoom({
        name: spec.name,
        metadata: spec.metadata,
        emptyTimeout: spec.emptyTimeout,
        departureTimeout: spec.departureTimeout,
        maxParticipants: spec.maxParticipants,
        ...(spec.agentName && { agents: [{ agentName: spec.agentName, metadata: spec.agentMetadata }] as never })
      }))
      return { sid }
    },

    /** Deletes the room; one that is not there is deleted. 503 is repeated once: deletes of one room can collide. */
    async deleteRoom (name, deadline = anytime()) {
      if (isCloud) await revokeTokens(name, deadline)
      try {
        await call('DeleteRoom', rooms, deadline, true, (client) => client.deleteRoom(name))
      } catch (error) {
        if ((error as { liveKitStatus?: number }).liveKitStatus !== 404) throw error
      }
    },

    /** Who is in the room. A room that does not exist answers like an empty one: `findRooms` tells them apart. */
    async listParticipants (name, deadline = anytime()) {
      const list = await call('ListParticipants', rooms, deadline, true, (client) => client.listParticipants(name))
      return list.map(toParticipant)
    },

    /** Which of the named rooms exist, with their sids. Never asks with an empty list: that lists everybody's rooms. */
    async findRooms (names, deadline = anytime()) {
      if (names.length === 0) return new Map()
      const found = await call('ListRooms', rooms, deadline, true, (client) => client.listRooms(names))
      return new Map(found.map((room) => [room.name, room.sid]))
    },

    /** Sends a participant away; one that is not there is gone. */
    async removeParticipant (roomName, identity, deadline = anytime()) {
      try {
        await call('RemoveParticipant', rooms, deadline, false, (client) => client.removeParticipant(roomName, identity))
      } catch (error) {
        if ((error as { liveKitStatus?: number }).liveKitStatus !== 404) throw error
      }
    },

    /** Sends for an agent. Never repeated: each call that LiveKit got brings one more. */
    async createDispatch (roomName, agentName, metadata, deadline = anytime()) {
      await call('CreateDispatch', dispatches, deadline, false, (client) => client.createDispatch(roomName, agentName, { metadata }))
    },

    async listDispatches (roomName, deadline = anytime()) {
      const list = await call('ListDispatch', dispatches, deadline, true, (client) => client.listDispatch(roomName))
      return list.map((dispatch) => ({
        id: dispatch.id,
        agentName: dispatch.agentName,
        metadata: dispatch.metadata,
        agents: (dispatch.state?.jobs ?? []).map((job) => job.state?.participantIdentity ?? '').filter(Boolean)
      }))
    },

    async deleteDispatch (id, roomName, deadline = anytime()) {
      await call('DeleteDispatch', dispatches, deadline, false, (client) => client.deleteDispatch(id, roomName))
    },

    /**
     * Signs a join token (A2): this room, this identity, this grant, nothing else.
     * @param join.ttl lifetime in seconds
     */
    async joinToken (join) {
      const { canPublishSources, ...grant } = join.grant
      const token = new AccessToken(apiKey, apiSecret, { identity: join.identity, name: join.name, ttl: join.ttl })
      token.addGrant({ roomJoin: true, room: join.roomName, ...grant, ...(canPublishSources && { canPublishSources: canPublishSources.map((source) => sources[source]) }) })
      const signed = await token.toJwt()
      const { exp } = JSON.parse(Buffer.from(signed.split('.')[1]!, 'base64url').toString()) as { exp: number }
      return { token: signed, expiresAt: new Date(exp * 1000) }
    },

    /**
     * Whether the server lets a token make its room anew (`room.auto_create`), asked with a token for a room that never was.
     * Nothing is created by it (livekit.md section 4). Cloud always does.
     */
    async autoCreates (deadline = anytime()) {
      if (!transport) return true
      const token = new AccessToken(apiKey, apiSecret, { identity: 'livekit-sessions', ttl: 30 })
      token.addGrant({ roomJoin: true, room: `auto-create-${randomUUID()}` })
      const signed = await token.toJwt()
      const status = await transport.validate(signed, Math.min(CALL_LIMIT, deadline - performance.now())).catch((error) => { throw toLiveKitError(error, 'validate') })
      if (status !== 200 && status !== 404) throw new LiveKitFailed({ cause: new Error(`LiveKit answered validate with ${status}`) })
      return status === 200
    },

    close: async () => { await transport?.close() }
  }
}

export type LiveKit = ReturnType<typeof createLiveKit>

/** No answer, or the 503 of an overloaded or just restarted server. What LiveKit refused, it would refuse again. */
function worthRepeating (error: unknown): boolean {
  const status = statusOf(error)
  return status === 503 || (status === undefined && (error as { code?: string }).code !== NO_TIME_LEFT)
}
