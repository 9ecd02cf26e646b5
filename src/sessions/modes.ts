// Voice and video as data: what a session of each mode is called, may do, and how long it lives.
import { randomBytes } from 'node:crypto'
import type { User } from './caller.ts'
import type { JoinGrant } from './rooms.ts'
import type { Session } from './store.ts'
import type { ModeName } from './vocabulary.ts'

export interface Mode {
  name: ModeName
  /** Worker that is dispatched to the room; empty = none. */
  agentName: string
  /** Lifetime of a join token, seconds. */
  tokenTtl: number
  /** How long a start waits for its agent, seconds; 0 = not at all. */
  agentWait: number
  /** Longest session, seconds; a token never outlives its session. */
  maxDuration: number
  /** What the join token allows beside joining its one room (A2.3, B2). */
  grant: JoinGrant
  /** A new name for each session: user and 128 random bits (A3.2, B1). Never used twice (LiveKit cannot reuse names safely). */
  roomName: (userId: string, sessionId: string) => string
  /** What the others in the room see (A2.2, B2). */
  participantName: (user: User) => string
  /** The room's metadata (A3.3): everybody in the room can read it, and it authorises nobody. */
  roomMetadata: (session: Session) => Record<string, unknown>
}

/** The room's own limits, the same for every mode (A3.4, B1): seconds, and participants besides agents. */
export const roomLimits = { emptyTimeout: 300, maxParticipants: 2 } as const

/** What of a mode is configured. */
export type ModeSettings = Pick<Mode, 'agentName' | 'tokenTtl' | 'maxDuration'>

/**
 * Builds both modes.
 * @param agentWait how long the start of a video session waits for its agent, seconds
 */
export function createModes ({ voice, video, agentWait }: Record<ModeName, ModeSettings> & { agentWait: number }): Record<ModeName, Mode> {
  return {
    voice: {
      name: 'voice',
      ...voice,
      agentWait: 0,
      grant: { canPublish: true, canSubscribe: true, canPublishData: true },
      roomName: (userId) => `fitness-voice-${userId}-${randomBytes(16).toString('hex')}`,
      participantName: (user) => user.name,
      roomMetadata: (session) => ({ user_id: session.user_id, agent_type: session.agent_type, mode: session.mode, created_at: session.created_at })
    },
    video: {
      name: 'video',
      ...video,
      agentWait: video.agentName ? agentWait : 0,
      grant: { canPublish: true, canPublishSources: ['microphone'], canSubscribe: true, canPublishData: true },
      roomName: (_userId, sessionId) => `video-${sessionId}`,
      participantName: (user) => `Student_${user.username}`,
      roomMetadata: (session) => ({ user_id: session.user_id, counselor_category: session.category_name, mode: session.mode, created_at: session.created_at })
    }
  }
}

/** What the join token of a session allows: in a conversation in writing nothing is published, and what the user types is data. */
export const grantOf = (mode: Mode, session: Pick<Session, 'text_only'>): JoinGrant => session.text_only ? { ...mode.grant, canPublish: false } : mode.grant

/**
 * What the agent is told with its dispatch, as JSON: which session it is for and how to correlate its logs.
 * It travels in the dispatch only, never in the room, where everybody could read it.
 * @param dispatch which dispatch of the session this is, from 1
 * @param more `systemPrompt`: what the agent of a video session is told (B4); `traceparent` of the span that sends for it, for the agent's own
 * spans; `service`: where the agent reaches the service, and its token there for this session. Each is left out when there is none
 */
export function jobMetadata (session: Session, dispatch: number, { systemPrompt, traceparent, service }: { systemPrompt?: string, traceparent?: string, service?: { url: string, token: string } } = {}): string {
  return JSON.stringify({
    session_id: session.id,
    room_name: session.room_name,
    user_id: session.user_id,
    mode: session.mode,
    ...(session.agent_type && { agent_type: session.agent_type }),
    ...(session.language && { language: session.language }),
    ...(session.text_only && { text_only: true }),
    ...(session.category_name && { counselor_category: session.category_name }),
    ...(systemPrompt && { system_prompt: systemPrompt }),
    request_id: session.request_id,
    ...(traceparent && { traceparent }),
    ...(session.transcript === 'writing' && { transcript: true }),
    ...(session.transcript === 'writing' && session.summary && { summary: true }),
    ...(service && { service }),
    dispatch
  })
}
