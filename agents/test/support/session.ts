// Sessions as the service makes them: a room with its agent dispatched by CreateRoom, the metadata of the contract.
import { RoomAgentDispatch } from '@livekit/protocol'
import { randomBytes, randomUUID } from 'node:crypto'
import type { ParticipantInfo } from 'livekit-server-sdk'
import type { LiveKit } from './livekit.ts'
import { until } from './processes.ts'

const KIND_AGENT = 4
const STATE_ACTIVE = 2

export interface Session { roomName: string, metadata: Record<string, unknown>, startedAt: number }

/** Metadata of a voice session; `more` adds or replaces members. */
export function metadataOf (roomName: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  return { session_id: randomUUID(), room_name: roomName, user_id: 'user-1', mode: 'voice', agent_type: 'workout', request_id: `req-${randomBytes(4).toString('hex')}`, dispatch: 1, ...more }
}

/** Creates the room and dispatches the agent with it. */
export async function startSession (livekit: LiveKit, more: Record<string, unknown> = {}, agentName = 'voice-agent'): Promise<Session> {
  const roomName = `fitness-voice-user-1-${randomBytes(8).toString('hex')}`
  const metadata = metadataOf(roomName, more)
  const startedAt = performance.now()
  await livekit.rooms.createRoom({ name: roomName, emptyTimeout: 60, departureTimeout: 20, agents: [new RoomAgentDispatch({ agentName, metadata: JSON.stringify(metadata) })] })
  return { roomName, metadata, startedAt }
}

/** Dispatches another agent into the session, as the service's watchdog does. */
export async function dispatchAgain (livekit: LiveKit, session: Session, agentName = 'voice-agent'): Promise<void> {
  const metadata = { ...session.metadata, dispatch: Number(session.metadata.dispatch) + 1 }
  await livekit.dispatches.createDispatch(session.roomName, agentName, { metadata: JSON.stringify(metadata) })
}

/** The agents that are ACTIVE in the room, avatars not counted. */
export async function activeAgents (livekit: LiveKit, roomName: string): Promise<ParticipantInfo[]> {
  const participants = await livekit.rooms.listParticipants(roomName)
  return participants.filter(({ kind, state, attributes }) => Number(kind) === KIND_AGENT && Number(state) === STATE_ACTIVE && !attributes['lk.publish_on_behalf'])
}

export async function agentJoins (livekit: LiveKit, roomName: string, limit = 10_000): Promise<ParticipantInfo> {
  return until('the agent joins', async () => (await activeAgents(livekit, roomName))[0], limit)
}
