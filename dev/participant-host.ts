// The child process in which LiveKit's native client runs: it joins and leaves rooms as dev/participant.ts orders.
import { AudioFrame, AudioSource, DisconnectReason, dispose, LocalAudioTrack, LocalVideoTrack, Room, RoomEvent, TrackPublishOptions, TrackSource, VideoBufferType, VideoFrame, VideoSource } from '@livekit/rtc-node'

/** What the parent asks for; `id` is its number for one participant. */
export type Order = { id: number } & (
  | { op: 'join', url: string, token: string, publish: boolean }
  | { op: 'attributes', attributes: Record<string, string> }
  | { op: 'video', source: 'camera' | 'screen_share' }
  | { op: 'leave' }
)

/** What the child tells; `done` answers an order that is not a join. */
export type News = { id: number } & (
  | { event: 'joined', identity: string, room: string }
  | { event: 'failed', message: string }
  | { event: 'token', token: string }
  | { event: 'disconnected', reason: string }
  | { event: 'done', error?: string }
)

const RATE = 48_000
const FRAME = RATE / 100 // samples in the 10 ms frames that WebRTC wants

const rooms = new Map<number, Room>()

function tell (news: News): void {
  if (process.connected) process.send!(news, undefined, undefined, () => {}) // the parent may be gone before it is written
}

async function join ({ id, url, token, publish }: Order & { op: 'join' }): Promise<void> {
  const room = new Room()
  rooms.set(id, room)
  room.on(RoomEvent.TokenRefreshed, () => room.token && tell({ id, event: 'token', token: room.token }))
  room.on(RoomEvent.Disconnected, (reason) => {
    rooms.delete(id)
    tell({ id, event: 'disconnected', reason: DisconnectReason[reason] ?? String(reason) })
  })
  try {
    await room.connect(url, token)
    if (publish) await speak(room)
    tell({ id, event: 'joined', identity: room.localParticipant!.identity, room: room.name ?? '' })
  } catch (error) {
    rooms.delete(id)
    tell({ id, event: 'failed', message: error instanceof Error ? error.message : String(error) })
  }
}

/** Publishes a quiet 440 Hz tone as a microphone until the room is left. */
async function speak (room: Room): Promise<void> {
  const source = new AudioSource(RATE, 1)
  const track = LocalAudioTrack.createAudioTrack('microphone', source)
  await room.localParticipant!.publishTrack(track, new TrackPublishOptions({ source: TrackSource.SOURCE_MICROPHONE }))
  let sample = 0
  const play = async () => {
    while (room.isConnected) {
      const data = Int16Array.from({ length: FRAME }, () => 3000 * Math.sin(2 * Math.PI * 440 * sample++ / RATE))
      await source.captureFrame(new AudioFrame(data, RATE, 1, FRAME)) // waits while a second of sound is queued
    }
    await source.close()
  }
  play().catch(() => {}) // the room went away under it
}

/** Publishes one grey frame as a camera or a screen. LiveKit says nothing to who may not: no answer within 2 s is a no. */
async function show (room: Room, source: 'camera' | 'screen_share'): Promise<void> {
  const video = new VideoSource(16, 16)
  const track = LocalVideoTrack.createVideoTrack(source, video)
  const options = new TrackPublishOptions({ source: source === 'camera' ? TrackSource.SOURCE_CAMERA : TrackSource.SOURCE_SCREENSHARE })
  await Promise.race([
    room.localParticipant!.publishTrack(track, options),
    new Promise((_resolve, reject) => { setTimeout(reject, 2000, new Error('LiveKit did not take the track')) })
  ])
  video.captureFrame(new VideoFrame(new Uint8Array(16 * 16 * 4).fill(128), 16, 16, VideoBufferType.RGBA))
}

async function obey (order: Order): Promise<void> {
  if (order.op === 'join') return join(order)
  const room = rooms.get(order.id)
  try {
    if (order.op === 'leave') await room?.disconnect()
    if (order.op === 'attributes') await room?.localParticipant!.setAttributes(order.attributes)
    if (order.op === 'video' && room) await show(room, order.source)
    tell({ id: order.id, event: 'done' })
  } catch (error) {
    tell({ id: order.id, event: 'done', error: error instanceof Error ? error.message : String(error) })
  }
}

process.on('message', (order) => { obey(order as Order) })

// The parent is gone, or wants no more: leave in order, but quickly.
process.once('disconnect', async () => {
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), 1000)
  await Promise.allSettled([...rooms.values()].map((room) => room.disconnect()))
  await dispose()
  process.exit()
})
