// The few things the worker asks of LiveKit's room API.
import { RoomServiceClient, type ParticipantInfo } from 'livekit-server-sdk'

/** The attribute by which a participant says whose media it publishes: an avatar names its agent. */
export const PUBLISH_ON_BEHALF = 'lk.publish_on_behalf'

export interface RoomApi {
  list (room: string): Promise<ParticipantInfo[]>
  /** Resolves too when the participant is not there. */
  remove (room: string, identity: string): Promise<void>
  /** Resolves too when the room is not there. */
  deleteRoom (room: string): Promise<void>
}

/** @param url ws(s):// or http(s):// of the server. */
export function createRoomApi (url: string, apiKey: string, apiSecret: string): RoomApi {
  const client = new RoomServiceClient(url.replace(/^ws/, 'http'), apiKey, apiSecret)
  const absentIsFine = (error: unknown) => {
    if ((error as { status?: number }).status !== 404) throw error
  }
  return {
    list: (room) => client.listParticipants(room),
    remove: (room, identity) => client.removeParticipant(room, identity).catch(absentIsFine),
    deleteRoom: (room) => client.deleteRoom(room).catch(absentIsFine)
  }
}

/**
 * Removes a crashed agent, and the avatar that publishes for it, from its room.
 * LiveKit itself would show both as ACTIVE for 20 s. The avatar goes first: once the agent is gone the service sends another, with an avatar of the same identity.
 */
export async function removeGhost (rooms: RoomApi, room: string, identity: string): Promise<void> {
  await removeAvatar(rooms, room, identity)
  await rooms.remove(room, identity)
}

/** Removes the avatar that publishes for an agent, if there is one. */
export async function removeAvatar (rooms: RoomApi, room: string, identity: string): Promise<void> {
  const participants = await rooms.list(room).catch(() => [])
  for (const participant of participants) {
    if (participant.attributes[PUBLISH_ON_BEHALF] === identity) await rooms.remove(room, participant.identity)
  }
}
