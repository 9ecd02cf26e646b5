// LiveKit as the rules need it: rooms, who is in them, dispatches, join tokens, and what its webhooks tell.

/** A participant as LiveKit lists it, or as a webhook tells of it. */
export interface Participant {
  sid: string
  identity: string
  /** STANDARD (a user), AGENT, EGRESS (a recorder), INGRESS, SIP. */
  kind: string
  /** JOINING, JOINED, ACTIVE, DISCONNECTED. */
  state: string
  joinedAt: Date
  attributes: Record<string, string>
}

/** What a join token allows beside joining its one room; `canPublishSources` narrows `canPublish`. */
export interface JoinGrant {
  canPublish: boolean
  canPublishSources?: Array<'microphone' | 'camera' | 'screen_share' | 'screen_share_audio'>
  canSubscribe: boolean
  canPublishData: boolean
}

export interface RoomSpec {
  name: string
  metadata: string
  /** Seconds until a room that nobody joined is closed. */
  emptyTimeout: number
  /** Seconds a room waits for a user who left. */
  departureTimeout: number
  maxParticipants: number
  /** The worker to dispatch; none when empty. */
  agentName: string
  agentMetadata: string
}

export interface Dispatch {
  id: string
  /** Identities of the agents that took it; an empty list proves nothing in a worker's first 6 s. */
  agents: string[]
}

/** An egress as LiveKit lists it, or as a webhook tells of it. */
export interface EgressReport {
  id: string
  roomName: string
  /** The object that it was asked to write. */
  file: string
  status: 'starting' | 'running' | 'complete' | 'failed'
  startedAt: Date | null
  endedAt: Date | null
  /** Why it failed. */
  error: string
}

/** A verified webhook, as far as the service understands it. Fields that its event does not have are empty. */
export interface LiveKitEvent {
  id: string
  type: string
  roomName: string
  roomSid: string
  participant?: Participant & { wentWithRoom: boolean }
  egress?: EgressReport
  at: Date
}

/** What became of a call that failed: LiveKit said no, it never got it, or it may have done it. */
export type Outcome = 'refused' | 'not_sent' | 'unknown'

/** Whether a call that failed may have been carried out all the same, or may still be. */
export function mayBeDone (error: unknown): boolean {
  const { outcome } = error as { outcome?: Outcome }
  return outcome !== 'not_sent' && outcome !== 'refused'
}

/**
 * The calls to LiveKit. `deadline` is on the scale of the clock's `elapsed`; without it a call may take some seconds.
 * Each throws an error that says by `outcome` what became of it.
 */
export interface Rooms {
  /** Creates the room and dispatches its agent. LiveKit answers with the room as it is when the name lives already. */
  createRoom: (spec: RoomSpec, deadline?: number) => Promise<{ sid: string }>
  /** Deletes the room; one that is not there is deleted. */
  deleteRoom: (name: string, deadline?: number) => Promise<void>
  /** Who is in the room. A room that does not exist answers like an empty one: `standing` tells them apart. */
  listParticipants: (name: string, deadline?: number) => Promise<Participant[]>
  /** Which of these rooms exist, by name: with a sid as that very room, without as any of that name. */
  standing: (rooms: Array<{ name: string, sid: string | null }>, deadline?: number) => Promise<Set<string>>
  /** Whether a node of LiveKit answers for the room. Of one whose node has died, or that is not there, none does, which takes 3 s to say. */
  isHeld: (name: string, deadline?: number) => Promise<boolean>
  /** Sends a participant away; one that is not there is gone. */
  removeParticipant: (roomName: string, identity: string, deadline?: number) => Promise<void>
  /** Sends for an agent. Never repeated by itself: each call that LiveKit got brings one more. */
  createDispatch: (roomName: string, agentName: string, metadata: string, deadline?: number) => Promise<void>
  listDispatches: (roomName: string, deadline?: number) => Promise<Dispatch[]>
  deleteDispatch: (id: string, roomName: string, deadline?: number) => Promise<void>
  /** Signs a join token: this room, this identity, this grant. `ttl` in seconds. */
  joinToken: (join: { roomName: string, identity: string, name: string, ttl: number, grant: JoinGrant }) => { token: string, expiresAt: Date }
  /** Whether the server lets a token make its room anew (`room.auto_create`). */
  autoCreates: (deadline?: number) => Promise<boolean>
}
