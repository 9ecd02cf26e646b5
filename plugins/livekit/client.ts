// LiveKit as the service uses it: rooms, participants, dispatches, join tokens. Bounded, repeated once where that is safe, counted.
import { randomUUID } from 'node:crypto'
import { circuitBreaker, CircuitState, ConsecutiveBreaker, handleWhen } from 'cockatiel'
import { DataPacket_Kind as PacketKind, ParticipantInfo_Kind as Kind } from '@livekit/protocol'
import { AgentDispatchClient, RoomServiceClient, ServerError } from 'livekit-server-sdk'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { Rooms } from '../../src/sessions/rooms.ts'
import { isOutage, NO_TIME_LEFT, statusOf, toLiveKitError, type LiveKitError } from './errors.ts'
import { toParticipant } from './participants.ts'
import { createTokens } from './tokens.ts'
import { createTransport, through, type Rpc } from './transport.ts'

/** Longest that one attempt of a call may take, ms. */
const CALL_LIMIT = 3000
/** The same where another node can be asked in its place, ms. */
const NODE_LIMIT = 1500
/** The same for DeleteRoom: only after 3 s LiveKit says that the node of a room does not answer. */
const DELETE_LIMIT = 3200
/** The same for the question whether a room has a node. */
const HOLD_LIMIT = 4000
/** A call with less than this left is not begun, ms. */
const LEAST_TIME = 20

/** Lifetime of the token with which a room is asked for at LiveKit's door, seconds. */
const KNOCK = 60

export interface LiveKitOptions {
  /** Addresses of the nodes of one LiveKit, one at least. */
  urls: string[]
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
export function createLiveKit ({ urls, apiKey, apiSecret, metrics, onRepeat }: LiveKitOptions): Rooms & { close: () => Promise<void> } {
  const url = urls[0]!
  const isCloud = new URL(url).hostname.endsWith('.livekit.cloud')
  // On Cloud the SDK's own transport stays: it fails over between regions, and does so only with 5 s or more.
  const options = { requestTimeout: 5 }
  const rooms = new RoomServiceClient(url, apiKey, apiSecret, options)
  const dispatches = new AgentDispatchClient(url, apiKey, apiSecret, options)
  const transport = isCloud ? undefined : createTransport(urls)

  const calls = new Counter({ name: 'livekit_requests_total', help: 'Calls to LiveKit by method and outcome', labelNames: ['method', 'outcome'] as const, registers: [metrics] })
  const seconds = new Histogram({ name: 'livekit_request_duration_seconds', help: 'Duration of calls to LiveKit', labelNames: ['method'] as const, buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3], registers: [metrics] })
  const breaker = circuitBreaker(handleWhen(isOutage), { halfOpenAfter: 1000, breaker: new ConsecutiveBreaker(10) })
  metrics.registerMetric(new Gauge({
    name: 'livekit_breaker_open',
    help: 'Whether calls to LiveKit are held back because it has been failing: 1 or 0',
    registers: [],
    collect () { this.set(breaker.state === CircuitState.Closed ? 0 : 1) }
  }))

  const tokens = createTokens(apiKey, apiSecret)
  rooms.authHeader = dispatches.authHeader = tokens.authHeader
  /** Whether a token makes its room anew; until it was asked for, as if it did. */
  let autoCreate = true

  const several = urls.length > 1
  /**
   * A room that LiveKit has just put on a node that died stays there until that node has been silent for 5 s: who asks the others again gets it.
   */
  const attempts = several ? 2 * urls.length + 1 : 2

  /**
   * One call: within its time, behind the breaker, counted, its error translated. Repeated once if `repeatable`; of several nodes on the next one,
   * up to twice round, and one that never was sent also when it is not.
   */
  async function call<Answer> (method: string, deadline: number, repeatable: boolean, send: (left: number) => Promise<Answer>, longest = CALL_LIMIT): Promise<Answer> {
    const stop = seconds.startTimer({ method })
    const attempt = (limit: number) => {
      const left = Math.min(limit, deadline - performance.now())
      if (left < LEAST_TIME) throw Object.assign(new Error('no time left'), { code: NO_TIME_LEFT })
      return send(left)
    }
    try {
      const answer = await breaker.execute(async () => {
        let doubtful: unknown // of an attempt that LiveKit may have carried out
        for (let n = 1; ; n++) {
          try {
            return await attempt(n === 1 && repeatable && several ? NODE_LIMIT : longest)
          } catch (error) {
            const failure = toLiveKitError(error, method)
            const again = repeatable ? worthRepeating(error) : several && failure.outcome === 'not_sent'
            // What was never sent in the end may have been done before.
            if (!again || n === attempts) throw failure.outcome === 'not_sent' ? doubtful ?? error : error
            if (failure.outcome === 'unknown') doubtful = error
            onRepeat?.(method, failure)
            calls.inc({ method, outcome: 'repeated' })
          }
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

  /** The same through a typed client of the SDK. */
  function rpc<Client extends RoomServiceClient | AgentDispatchClient, Answer> (
    method: string, client: Client, deadline: number, repeatable: boolean, send: (client: Client) => Promise<Answer>, longest?: number
  ): Promise<Answer> {
    return call(method, deadline, repeatable, (left) => send(transport ? through(client, transport.within(left) as Rpc) : client), longest)
  }

  /**
   * DeleteRoom, once more where no answer came or a 503: deletes of one room can collide. A room whose node has died is 503 for ever (of several
   * nodes on one Redis, tried on 1.13.5): CreateRoom, which leaves a room that stands as it is, places it on a living one, where it can be deleted.
   * So it is with the 500 for a room that stands in a node while Redis has lost its data.
   */
  async function remove (name: string, deadline: number) {
    const once = () => rpc('DeleteRoom', rooms, deadline, false, (client) => client.deleteRoom(name), DELETE_LIMIT)
    const failed = await once().then(() => undefined, (error: LiveKitError) => error)
    if (!failed) return
    const status = failed.liveKitStatus
    if (status !== undefined && status !== 503 && status !== 500) throw failed
    onRepeat?.('DeleteRoom', failed)
    calls.inc({ method: 'DeleteRoom', outcome: 'repeated' })
    const again = await once().then(() => undefined, (error: LiveKitError) => error)
    if (!again) return
    if (status === undefined || again.liveKitStatus !== status) throw again
    await rpc('CreateRoom', rooms, deadline, false, (client) => client.createRoom({ name, emptyTimeout: 1, departureTimeout: 1 }))
    await once()
  }

  /** What whoever comes with a token for this room would meet at LiveKit's door; nothing is created by it (livekit.md section 4). */
  function knock (roomName: string, deadline: number): Promise<boolean> {
    const { token } = tokens.join({ roomName, identity: 'livekit-sessions', name: '', ttl: KNOCK, grant: { canPublish: false, canSubscribe: false, canPublishData: false } })
    return call('validate', deadline, true, async (left) => {
      const status = await transport!.validate(token, left)
      if (status !== 200 && status !== 404) throw new ServerError('ServerError', 'refused at the door', status)
      return status === 200
    })
  }

  /** On Cloud, removing participants with a revocation is what kills their tokens; nothing else does. Written to the protocol's word, not run. */
  async function revokeTokens (name: string, deadline: number) {
    const now = BigInt(Math.floor(Date.now() / 1000))
    const participants = await rpc('ListParticipants', rooms, deadline, true, (client) => client.listParticipants(name))
    for (const { identity, kind } of participants) {
      if (kind === Kind.STANDARD) await rpc('RemoveParticipant', rooms, deadline, false, (client) => client.removeParticipant(name, identity, { revokeTokenTs: now })).catch(() => {})
    }
  }

  const anytime = () => performance.now() + 2 * CALL_LIMIT

  return {
    /** Creates the room and dispatches its agent. LiveKit answers with the room as it is when the name lives already. */
    async createRoom (spec, deadline = anytime()) {
      const { sid } = await rpc('CreateRoom', rooms, deadline, true, (client) => client.createRoom({
        name: spec.name,
        metadata: spec.metadata,
        emptyTimeout: spec.emptyTimeout,
        departureTimeout: spec.departureTimeout,
        maxParticipants: spec.maxParticipants,
        ...(spec.agentName && { agents: [{ agentName: spec.agentName, metadata: spec.agentMetadata }] as never })
      }))
      return { sid }
    },

    /** Deletes the room; one that is not there is deleted. */
    async deleteRoom (name, deadline = anytime() + CALL_LIMIT) {
      if (isCloud) await revokeTokens(name, deadline)
      try {
        await remove(name, deadline)
      } catch (error) {
        if ((error as { liveKitStatus?: number }).liveKitStatus !== 404) throw error
      }
    },

    /** Who is in the room. A room that does not exist answers like an empty one: `standing` tells them apart. */
    async listParticipants (name, deadline = anytime()) {
      const list = await rpc('ListParticipants', rooms, deadline, true, (client) => client.listParticipants(name))
      return list.map(toParticipant)
    },

    /**
     * Which of these rooms stand. ListRooms walks every room of a server without Redis, for each name (4 ms of its CPU at 8,000 rooms);
     * where a token cannot make its room anew, asking at the door costs a thirtieth and tells the same: there a name is never another room.
     */
    async standing (wanted, deadline = anytime()) {
      if (wanted.length === 0) return new Set()
      if (transport && !autoCreate) {
        const there = await Promise.all(wanted.map(({ name }) => knock(name, deadline)))
        return new Set(wanted.filter((_room, n) => there[n]).map(({ name }) => name))
      }
      // Never with an empty list: that lists everybody's rooms.
      const found = await rpc('ListRooms', rooms, deadline, true, (client) => client.listRooms(wanted.map(({ name }) => name)))
      const sids = new Map(found.map((room) => [room.name, room.sid]))
      return new Set(wanted.filter(({ name, sid }) => sids.has(name) && (sid === null || sids.get(name) === sid)).map(({ name }) => name))
    },

    /** Asked with data for nobody. Past the breaker: what a dead node leaves is no word about the living ones. Cloud sees to its nodes itself. */
    async isHeld (name, deadline = anytime()) {
      if (!transport) return true
      const limit = Math.min(HOLD_LIMIT, deadline - performance.now())
      try {
        await through(rooms, transport.within(limit)).sendData(name, new Uint8Array(), PacketKind.RELIABLE, { destinationIdentities: ['livekit-sessions'] })
      } catch (error) {
        const failure = toLiveKitError(error, 'SendData')
        if (failure.liveKitStatus !== 503) throw failure
        return false
      }
      return true
    },

    /** Sends a participant away; one that is not there is gone. */
    async removeParticipant (roomName, identity, deadline = anytime()) {
      try {
        await rpc('RemoveParticipant', rooms, deadline, false, (client) => client.removeParticipant(roomName, identity))
      } catch (error) {
        if ((error as { liveKitStatus?: number }).liveKitStatus !== 404) throw error
      }
    },

    /** Sends for an agent. Never repeated once it was sent: each call that LiveKit got brings one more. */
    async createDispatch (roomName, agentName, metadata, deadline = anytime()) {
      await rpc('CreateDispatch', dispatches, deadline, false, (client) => client.createDispatch(roomName, agentName, { metadata }))
    },

    async listDispatches (roomName, deadline = anytime()) {
      const list = await rpc('ListDispatch', dispatches, deadline, true, (client) => client.listDispatch(roomName))
      return list.map((dispatch) => ({
        id: dispatch.id,
        agents: (dispatch.state?.jobs ?? []).map((job) => job.state?.participantIdentity ?? '').filter(Boolean)
      }))
    },

    async deleteDispatch (id, roomName, deadline = anytime()) {
      await rpc('DeleteDispatch', dispatches, deadline, false, (client) => client.deleteDispatch(id, roomName))
    },

    joinToken: tokens.join,

    /** Whether the server lets a token make its room anew (`room.auto_create`), asked with a token for a room that never was. Cloud always does. */
    async autoCreates (deadline = anytime()) {
      autoCreate = transport ? await knock(`auto-create-${randomUUID()}`, deadline) : true
      return autoCreate
    },

    close: async () => { await transport?.close() }
  }
}

/** No answer, or the 503 of an overloaded or just restarted server. What LiveKit refused, it would refuse again. */
function worthRepeating (error: unknown): boolean {
  const status = statusOf(error)
  return status === 503 || (status === undefined && (error as { code?: string }).code !== NO_TIME_LEFT)
}
