import { Room, RoomEvent, TokenSource } from 'livekit-client'

export async function talk (url: string, userToken: string): Promise<Room> {
  const source = TokenSource.endpoint(url, { headers: { authorization: `Bearer ${userToken}` } })
  const { serverUrl, participantToken } = await source.fetch({ agentName: 'voice-agent', agentMetadata: '{"agent_type":"diet"}' })
  const room = new Room()
  room.on(RoomEvent.TrackSubscribed, (track) => { document.body.append(track.attach()) })
  await room.connect(serverUrl, participantToken)
  await room.localParticipant.setMicrophoneEnabled(true)
  return room
}
