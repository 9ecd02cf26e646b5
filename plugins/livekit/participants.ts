// LiveKit's participants in the words of the service.
import { DisconnectReason, ParticipantInfo_Kind as Kind, ParticipantInfo_State as State, type ParticipantInfo } from '@livekit/protocol'

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

export function toParticipant (info: ParticipantInfo): Participant {
  return {
    sid: info.sid,
    identity: info.identity,
    kind: Kind[info.kind] ?? 'STANDARD',
    state: State[info.state] ?? 'DISCONNECTED',
    joinedAt: new Date(Number(info.joinedAtMs) || Number(info.joinedAt) * 1000),
    attributes: info.attributes
  }
}

const roomWent = new Set([DisconnectReason.ROOM_DELETED, DisconnectReason.ROOM_CLOSED, DisconnectReason.SERVER_SHUTDOWN])

/** Whether the participant is gone because its room went, not because it left. */
export function wentWithRoom (info: ParticipantInfo): boolean {
  return roomWent.has(info.disconnectReason)
}
