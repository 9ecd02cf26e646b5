// LiveKit's participants in the words of the service.
import { DisconnectReason, ParticipantInfo_Kind as Kind, ParticipantInfo_State as State, type ParticipantInfo } from '@livekit/protocol'
import type { Participant } from '../../src/sessions/rooms.ts'

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
