// One call, as far as it is the same for every agent: entering the room alone, waiting for a user who left, leaving.
import { AutoSubscribe, type JobContext } from '@livekit/agents'
import { ParticipantKind, RoomEvent, type RemoteParticipant } from '@livekit/rtc-node'
import type { CommonConfig } from './config.ts'
import type { Logger } from './log.ts'
import type { Metadata } from './metadata.ts'
import { report } from './reports.ts'
import { PUBLISH_ON_BEHALF, createRoomApi, removeGhost, type RoomApi } from './rooms.ts'

/** Seconds on top of the room's own timeout after which an agent leaves by itself: LiveKit should have closed the room before. */
const GRACE = 5

/** Milliseconds a process without its worker may take to leave. */
const LEAVING = 3000

const AGENT_NAME = 'lk.agent.name'

export interface Call {
  ctx: JobContext
  metadata: Metadata
  log: Logger
  rooms: RoomApi
  /** Ends the call for everybody: the service reads the attribute as "the agent hung up", or "the user kept silent", then the room goes. */
  hangUp (why?: 'agent' | 'idle'): Promise<void>
}

/**
 * Enters the room of a job.
 * @returns the call, or undefined when another agent of this name is already there: then the job is over.
 */
export async function enterRoom (ctx: JobContext, metadata: Metadata, config: CommonConfig, log: Logger): Promise<Call | undefined> {
  const rooms = createRoomApi(config.serverUrl, config.LIVEKIT_API_KEY, config.LIVEKIT_API_SECRET)
  report({
    type: 'entering',
    sessionId: metadata.session_id,
    requestId: metadata.request_id,
    jobId: ctx.job.id,
    roomName: metadata.room_name,
    identity: ctx.info.acceptArguments.identity
  })
  ctx.addShutdownCallback(async () => report({ type: 'left' }))
  // Only sound: an avatar's video is not for us to decode.
  const connecting = ctx.connect(undefined, AutoSubscribe.AUDIO_ONLY)
  // The main process is gone: leave at once, so that the service sees it and another worker can take over.
  process.once('disconnect', async () => {
    log.warn('the worker is gone, leaving the room')
    setTimeout(() => process.exit(1), LEAVING)
    // Whoever exits while he is entering stays behind as a ghost, and so does an avatar without its agent.
    await connecting.catch(() => {})
    await removeGhost(rooms, metadata.room_name, ctx.info.acceptArguments.identity).catch(() => {})
    await ctx.room.disconnect()
    process.exit(1)
  })
  await connecting
  if (await anotherIsHere(ctx, rooms)) {
    log.warn('another agent of this name is in the room, leaving')
    ctx.shutdown('duplicate')
    return
  }
  log.info('agent joined')
  leaveWhenAlone(ctx, config, log)

  return {
    ctx,
    metadata,
    log,
    rooms,
    async hangUp (why = 'agent') {
      await ctx.room.localParticipant?.setAttributes({ 'session.end': why })
      await rooms.deleteRoom(metadata.room_name)
    }
  }
}

/** Whether a participant is a person (not an agent, an avatar, a recorder). */
export function isUser (participant: RemoteParticipant): boolean {
  return participant.info.kind !== ParticipantKind.AGENT && participant.info.kind !== ParticipantKind.EGRESS
}

/** Calls `then` once, as soon as a user is in the room. Nothing waits for it: a job whose entry waits cannot end before 15 s. */
export function whenUserJoins ({ ctx }: Call, then: () => void): void {
  if ([...ctx.room.remoteParticipants.values()].some(isUser)) return then()
  const joined = (participant: RemoteParticipant) => {
    if (!isUser(participant)) return
    ctx.room.off(RoomEvent.ParticipantConnected, joined)
    then()
  }
  ctx.room.on(RoomEvent.ParticipantConnected, joined)
}

/** Does something with a conversation that may not have begun, or just have ended: then there is nothing to do, and the framework throws. */
export function ifConversing (act: () => unknown): void {
  try {
    act()
  } catch {
    // Not running.
  }
}

/** Of two agents that meet, the one that joined first stays; LiveKit's clock decides, the sid when it is a tie. */
async function anotherIsHere (ctx: JobContext, rooms: RoomApi): Promise<boolean> {
  const me = ctx.room.localParticipant
  const rivals = [...ctx.room.remoteParticipants.values()].filter(({ attributes, info }) =>
    info.kind === ParticipantKind.AGENT && attributes[AGENT_NAME] === ctx.job.agentName && !attributes[PUBLISH_ON_BEHALF])
  if (!me || rivals.length === 0) return false
  const listed = await rooms.list(ctx.room.name ?? '').catch(() => [])
  const mine = listed.find(({ identity }) => identity === me.identity)
  // Cannot be told: rather no agent, which the service repairs, than two that speak.
  if (!mine) return true
  return rivals.some(({ identity }) => {
    const rival = listed.find((participant) => participant.identity === identity)
    return rival !== undefined && (rival.joinedAtMs < mine.joinedAtMs || (rival.joinedAtMs === mine.joinedAtMs && rival.sid < mine.sid))
  })
}

/**
 * Ends the job when nobody came, or the user left and did not come back. A user who returns in time finds the agent here.
 * The room waits longer for its first user (the service's empty_timeout, 300 s): an agent holds a place meanwhile, and an avatar costs
 * money. To a user who comes later the service sends another agent at once.
 */
function leaveWhenAlone (ctx: JobContext, config: CommonConfig, log: Logger): void {
  let timer: NodeJS.Timeout | undefined
  const wait = (seconds: number) => {
    clearTimeout(timer)
    timer = setTimeout(() => {
      log.info('nobody is here, leaving')
      ctx.shutdown('alone')
    }, seconds * 1000)
  }
  const alone = (gone?: RemoteParticipant) => ![...ctx.room.remoteParticipants.values()].some((participant) => participant !== gone && isUser(participant))
  ctx.room.on(RoomEvent.ParticipantConnected, (participant) => {
    if (isUser(participant)) clearTimeout(timer)
  })
  ctx.room.on(RoomEvent.ParticipantDisconnected, (participant) => {
    if (isUser(participant) && alone(participant)) wait(config.DEPARTURE_TIMEOUT + GRACE)
  })
  ctx.addShutdownCallback(async () => clearTimeout(timer))
  if (alone()) wait(config.USER_JOIN_TIMEOUT)
}
