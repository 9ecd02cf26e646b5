// The emulator's rooms: who is in them, which agents are on their way, when they close. What it imitates was measured on LiveKit 1.13.5.
import { randomBytes, randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  AgentDispatch, DisconnectReason, Job, JobStatus, ParticipantInfo, ParticipantInfo_Kind as Kind, ParticipantInfo_State as State, Room,
  CreateRoomRequest, type CreateAgentDispatchRequest
} from '@livekit/protocol'
import { TwirpError } from './auth.ts'

const MAX_NAME = 256 // bytes, like LiveKit's limit.max_room_name_length
const MAX_METADATA = 512 * 1024
const AGENT_JOINING = 40 // ms between an agent's JOINING and its ACTIVE
const CODECS = ['audio/PCMU', 'audio/PCMA', 'audio/opus', 'audio/red', 'video/VP8', 'video/H264', 'video/VP9', 'video/AV1', 'video/H265', 'video/rtx']

/** What LiveKit tells by webhook. */
export type EventName = 'room_started' | 'room_finished' | 'participant_joined' | 'participant_left'

export interface RoomsOptions {
  /** Names of the agents that come when dispatched; a dispatch of another name is accepted and dropped, as when no worker runs. */
  agents: string[]
  /** Milliseconds from the dispatch until the agent is ACTIVE. */
  agentDelay: number
  autoCreate: boolean
  /** Milliseconds until a dispatch call about a missing room is answered 503. */
  unavailableDelay: number
  onEvent: (event: EventName, room: Room, participant?: ParticipantInfo) => void
}

interface LiveRoom {
  info: Room
  participants: Map<string, ParticipantInfo>
  dispatches: Map<string, AgentDispatch>
  firstJoin?: number
  lastLeave?: number
}

export function createRooms (options: RoomsOptions) {
  const { agentDelay, autoCreate, unavailableDelay, onEvent } = options
  let agents = new Set(options.agents)
  const live = new Map<string, LiveRoom>()
  // LiveKit's own rhythm: num_participants lags behind by up to five seconds, idle rooms are looked for every second.
  const counter = setInterval(() => { for (const room of live.values()) room.info.numParticipants = people(room).length }, 5000).unref()
  const reaper = setInterval(closeIdle, 1000).unref()

  /** Get or create: the arguments count only for a room that does not exist (first caller wins, silently). */
  function create (request: CreateRoomRequest): Room {
    if (Buffer.byteLength(request.name) > MAX_NAME) {
      throw new TwirpError(400, 'invalid_argument', `twirp error unknown: room name length exceeds limits: max length ${MAX_NAME}`)
    }
    checkMetadata(request.metadata)
    const known = live.get(request.name)
    if (known) return known.info

    const now = Date.now()
    const room: LiveRoom = {
      info: new Room({
        sid: id('RM_'),
        name: request.name,
        // Zero means "the default" to LiveKit; none of its timeouts can be switched off.
        emptyTimeout: request.emptyTimeout || 300,
        departureTimeout: request.departureTimeout || 20,
        maxParticipants: request.maxParticipants,
        metadata: request.metadata,
        creationTime: seconds(now),
        creationTimeMs: BigInt(now),
        turnPassword: randomBytes(32).toString('base64url'),
        enabledCodecs: CODECS.map((mime) => ({ mime }))
      }),
      participants: new Map(),
      dispatches: new Map()
    }
    live.set(request.name, room)
    onEvent('room_started', room.info)
    // A room without agents gets one dispatch without a name: every unnamed worker joins it.
    const wanted = request.agents.length ? request.agents : [{ agentName: '', metadata: '' }]
    for (const { agentName, metadata } of wanted) dispatch(room, agentName, metadata)
    return room.info
  }

  /** No names is "all rooms", not "no rooms". */
  function list (names: string[]): Room[] {
    return [...live.values()].map((room) => room.info).filter((room) => !names.length || names.includes(room.name))
  }

  function remove (name: string): void {
    close(existing(name), DisconnectReason.ROOM_DELETED)
  }

  /** A missing room has no participants: 200 and an empty list, not 404. */
  function participants (name: string): ParticipantInfo[] {
    return [...live.get(name)?.participants.values() ?? []]
  }

  function participant (name: string, identity: string): ParticipantInfo {
    const found = live.get(name)?.participants.get(identity)
    if (!found) throw new TwirpError(404, 'not_found', 'twirp error unknown: participant does not exist')
    return found
  }

  /** A person enters, as over /rtc: 404 without a room unless auto_create is on, 500 when it is full; the same identity replaces itself. */
  function join (name: string, identity: string, more: { name?: string, metadata?: string, attributes?: Record<string, string> } = {}): ParticipantInfo {
    if (!live.has(name) && autoCreate) create(new CreateRoomRequest({ name }))
    const room = existing(name)
    const others = people(room).filter((one) => one.identity !== identity)
    if (room.info.maxParticipants && others.length >= room.info.maxParticipants) throw new TwirpError(500, 'internal', 'connection closed by media')
    if (room.participants.has(identity)) depart(room, identity, DisconnectReason.DUPLICATE_IDENTITY)
    return enter(room, { identity, ...more, kind: Kind.STANDARD, state: State.ACTIVE })
  }

  /** Somebody leaves: a person, or an agent. */
  function leave (name: string, identity: string, reason = DisconnectReason.CLIENT_INITIATED): void {
    participant(name, identity)
    depart(live.get(name)!, identity, reason)
  }

  async function createDispatch (request: CreateAgentDispatchRequest): Promise<AgentDispatch> {
    if (!live.has(request.room) && autoCreate) create(new CreateRoomRequest({ name: request.room }))
    return dispatch(await dispatchable(request.room), request.agentName, request.metadata)
  }

  async function listDispatch (name: string, dispatchId = ''): Promise<AgentDispatch[]> {
    const room = await dispatchable(name)
    return [...room.dispatches.values()].filter((one) => !dispatchId || one.id === dispatchId)
  }

  /** Sends the dispatch's agent away, but only if its job is listed by now: otherwise it still comes. */
  async function deleteDispatch (name: string, dispatchId: string): Promise<AgentDispatch> {
    const room = await dispatchable(name)
    const found = room.dispatches.get(dispatchId)
    if (!found) throw new TwirpError(404, 'not_found', 'twirp error unknown: dispatch ID not found')
    room.dispatches.delete(dispatchId)
    for (const job of found.state!.jobs) {
      if (room.participants.has(job.state!.participantIdentity)) depart(room, job.state!.participantIdentity, DisconnectReason.CLIENT_INITIATED)
    }
    return found
  }

  function dispatch (room: LiveRoom, agentName: string, metadata: string): AgentDispatch {
    const made = new AgentDispatch({ id: id('AD_'), agentName, room: room.info.name, metadata, state: { createdAt: nanoseconds() } })
    room.dispatches.set(made.id, made)
    // No worker of that name: answered like any other and never tried again, not even when one registers later.
    if (agents.has(agentName)) setTimeout(assign, Math.max(0, agentDelay - AGENT_JOINING), room, made).unref()
    return made
  }

  function assign (room: LiveRoom, made: AgentDispatch): void {
    if (!isLive(room)) return
    const jobId = id('AJ_')
    const identity = `agent-${jobId}`
    made.state!.jobs.push(new Job({
      id: jobId,
      dispatchId: made.id,
      room: room.info,
      metadata: made.metadata,
      agentName: made.agentName,
      state: { status: JobStatus.JS_RUNNING, startedAt: nanoseconds(), updatedAt: nanoseconds(), participantIdentity: identity }
    }))
    const attributes = { 'lk.agent.name': made.agentName, 'lk.agent_name': made.agentName }
    enter(room, { identity, kind: Kind.AGENT, state: State.JOINING, attributes })
    setTimeout(() => {
      const agent = room.participants.get(identity)
      if (!isLive(room) || !agent) return
      agent.state = State.ACTIVE
      onEvent('participant_joined', room.info, agent)
    }, AGENT_JOINING).unref()
  }

  function enter (room: LiveRoom, who: { identity: string, kind: Kind, state: State, name?: string, metadata?: string, attributes?: Record<string, string> }): ParticipantInfo {
    const now = Date.now()
    const entered = new ParticipantInfo({ ...who, sid: id('PA_'), joinedAt: seconds(now), joinedAtMs: BigInt(now) })
    room.participants.set(who.identity, entered)
    if (who.kind !== Kind.AGENT) room.firstJoin ??= now
    if (who.state === State.ACTIVE) onEvent('participant_joined', room.info, entered)
    return entered
  }

  function depart (room: LiveRoom, identity: string, reason: DisconnectReason): void {
    const gone = room.participants.get(identity)!
    room.participants.delete(identity)
    room.lastLeave = Date.now() // an agent that leaves restarts the departure timeout, too
    const wasActive = gone.state === State.ACTIVE
    gone.state = State.DISCONNECTED
    gone.disconnectReason = reason
    if (wasActive) onEvent('participant_left', room.info, gone)
  }

  function close (room: LiveRoom, reason: DisconnectReason): void {
    live.delete(room.info.name)
    for (const identity of [...room.participants.keys()]) depart(room, identity, reason)
    onEvent('room_finished', room.info)
  }

  /** Agents alone do not keep a room. */
  function closeIdle (): void {
    for (const room of [...live.values()]) {
      if (people(room).length) continue
      const idleSince = room.firstJoin === undefined ? Number(room.info.creationTimeMs) : room.lastLeave ?? room.firstJoin
      const patience = room.firstJoin === undefined ? room.info.emptyTimeout : room.info.departureTimeout
      if (Date.now() - idleSince >= patience * 1000) close(room, DisconnectReason.ROOM_CLOSED)
    }
  }

  function existing (name: string): LiveRoom {
    const room = live.get(name)
    if (!room) throw new TwirpError(404, 'not_found', 'twirp error unknown: requested room does not exist')
    return room
  }

  /** Dispatch calls look for the room's node, and nobody answers for a room that does not exist. */
  async function dispatchable (name: string): Promise<LiveRoom> {
    const room = live.get(name)
    if (room) return room
    await sleep(unavailableDelay, undefined, { ref: false })
    throw new TwirpError(503, 'unavailable', 'twirp error unknown: no response from servers')
  }

  const isLive = (room: LiveRoom) => live.get(room.info.name) === room

  return {
    create,
    list,
    remove,
    participants,
    participant,
    join,
    leave,
    createDispatch,
    listDispatch,
    deleteDispatch,
    has: (name: string) => live.has(name),
    setAgents: (names: string[]) => { agents = new Set(names) },
    /** Forgets everything and tells nobody, like a crash. */
    stop: () => { clearInterval(counter); clearInterval(reaper); live.clear() }
  }
}

/** Who is counted: agents never are. */
function people (room: LiveRoom): ParticipantInfo[] {
  return [...room.participants.values()].filter(({ kind }) => kind !== Kind.AGENT)
}

function checkMetadata (metadata: string): void {
  if (Buffer.byteLength(metadata) <= MAX_METADATA) return
  throw new TwirpError(400, 'invalid_argument', `metadata size exceeds limits ${MAX_METADATA}`, { argument: 'metadata size exceeds limits' })
}

/** An id as LiveKit makes them: a prefix and twelve letters or digits. */
export function id (prefix: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789'
  return prefix + Array.from({ length: 12 }, () => alphabet[randomInt(alphabet.length)]).join('')
}

export const seconds = (ms: number) => BigInt(Math.floor(ms / 1000))

const nanoseconds = () => BigInt(Date.now()) * 1_000_000n
