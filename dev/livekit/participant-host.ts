// The child process in which LiveKit's native client runs: it joins and leaves rooms as participant.ts orders.
import { AudioFrame, AudioSource, AudioStream, DisconnectReason, dispose, LocalAudioTrack, LocalVideoTrack, type RemoteTrack, Room, RoomEvent, TrackKind, TrackPublishOptions, TrackSource, VideoBufferType, VideoFrame, VideoSource, VideoStream } from '@livekit/rtc-node'

/** Words of a conversation, as an agent tells them to the room: what is said so far of a segment, by itself or by the user whose speech it hears. */
export interface Caption { text: string, segment: string, final: boolean, speaker?: string }

/** What the parent asks for; `id` is its number for one participant. */
export type Order = { id: number } & (
  | { op: 'join', url: string, token: string, publish: boolean }
  | { op: 'attributes', attributes: Record<string, string> }
  | { op: 'video', source: 'camera' | 'screen_share' }
  | { op: 'caption' } & Caption
  | { op: 'echo', beeps: number }
  | { op: 'receive', from: string, ms: number }
  | { op: 'leave' }
)

/** What the child tells; `done` answers an order that is not a join. */
export type News = { id: number } & (
  | { event: 'joined', identity: string, room: string }
  | { event: 'failed', message: string }
  | { event: 'token', token: string }
  | { event: 'disconnected', reason: string }
  | { event: 'done', error?: string, result?: number[] }
)

const RATE = 48_000
const FRAME = RATE / 100 // samples in the 10 ms frames that WebRTC wants

const [WIDTH, HEIGHT] = [320, 180]
const FILM_EVERY = 100 // ms

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

/** Publishes a quiet 440 Hz tone with all its harmonics, as a voice has them, as a microphone until the room is left. */
async function speak (room: Room): Promise<void> {
  const source = new AudioSource(RATE, 1)
  const track = LocalAudioTrack.createAudioTrack('microphone', source)
  await room.localParticipant!.publishTrack(track, new TrackPublishOptions({ source: TrackSource.SOURCE_MICROPHONE }))
  let sample = 0
  const play = async () => {
    while (room.isConnected) {
      const data = Int16Array.from({ length: FRAME }, () => 6000 * (440 * sample++ / RATE % 1 - 0.5))
      await source.captureFrame(new AudioFrame(data, RATE, 1, FRAME)) // waits while a second of sound is queued
    }
    await source.close()
  }
  play().catch(() => {}) // the room went away under it
}

/** Publishes a picture that gets lighter and darker as a camera or a screen, until the room is left. LiveKit says nothing to who may not: no answer within 2 s is a no. */
async function show (room: Room, source: 'camera' | 'screen_share'): Promise<void> {
  const video = new VideoSource(WIDTH, HEIGHT)
  const track = LocalVideoTrack.createVideoTrack(source, video)
  const options = new TrackPublishOptions({ source: source === 'camera' ? TrackSource.SOURCE_CAMERA : TrackSource.SOURCE_SCREENSHARE })
  await Promise.race([
    room.localParticipant!.publishTrack(track, options),
    new Promise((_resolve, reject) => { setTimeout(reject, 2000, new Error('LiveKit did not take the track')) })
  ])
  const film = setInterval(() => {
    if (!room.isConnected) return clearInterval(film)
    video.captureFrame(new VideoFrame(new Uint8Array(WIDTH * HEIGHT * 4).fill(64 + Math.floor(Date.now() / 20) % 128), WIDTH, HEIGHT, VideoBufferType.RGBA))
  }, FILM_EVERY)
}

/** Tells what was said, on the topic and with the attributes of LiveKit's agents (https://docs.livekit.io/agents/build/text/). */
async function caption (room: Room, { text, segment, final, speaker }: Caption): Promise<void> {
  const attributes = { 'lk.segment_id': segment, 'lk.transcription_final': String(final) }
  const writer = await room.localParticipant!.streamText({ topic: 'lk.transcription', attributes, senderIdentity: speaker })
  await writer.write(text)
  await writer.close()
}

const BEEP_EVERY = 1000 // ms
const LOUD = 1000 // of 32,768, root mean square: a tone of 8,000 comes back well above, comfort noise stays below

/**
 * Publishes a microphone that beeps, and listens to what comes back from the first other participant that makes sound.
 * @returns for each beep that came back within its second the milliseconds from its first sample to its first sound back
 * @throws when nobody else makes sound within 10 s
 */
async function measureEcho (room: Room, beeps: number): Promise<number[]> {
  const source = new AudioSource(RATE, 1, 100)
  await room.localParticipant!.publishTrack(LocalAudioTrack.createAudioTrack('microphone', source), new TrackPublishOptions({ source: TrackSource.SOURCE_MICROPHONE }))
  const remote = await firstAudio(room)
  const reader = new AudioStream(remote, { sampleRate: RATE, numChannels: 1, frameSizeMs: 10 }).getReader()
  let beeped = 0
  const delays: number[] = []

  const listen = (async () => {
    while (delays.length < beeps) {
      const { value: frame, done } = await reader.read()
      if (done) return
      if (beeped > 0 && rms(frame.data) > LOUD) {
        delays.push(performance.now() - beeped)
        beeped = 0
      }
    }
  })()
  // One second of silence first: the way of the sound is being built.
  let next = performance.now()
  for (let n = 0; n < (beeps + 1) * (BEEP_EVERY / 10); n++) {
    const inBeep = n >= BEEP_EVERY / 10 && n % (BEEP_EVERY / 10) < 10
    if (inBeep && n % (BEEP_EVERY / 10) === 0) beeped = performance.now()
    const data = Int16Array.from({ length: FRAME }, (_, i) => inBeep ? 8000 * Math.sin(2 * Math.PI * 440 * i / RATE) : 0)
    await source.captureFrame(new AudioFrame(data, RATE, 1, FRAME))
    next += 10
    await new Promise((resolve) => { setTimeout(resolve, Math.max(0, next - performance.now())) })
  }
  await Promise.race([listen, new Promise((resolve) => { setTimeout(resolve, 500) })])
  return delays
}

/** What comes from one participant within a time: 10 ms of sound that is not silence, and pictures. */
async function receive (room: Room, from: string, ms: number): Promise<number[]> {
  const counts: [number, number] = [0, 0]
  const readers: Array<{ cancel: () => Promise<void> }> = []
  const follow = async (track: RemoteTrack) => {
    if (track.kind === TrackKind.KIND_AUDIO) {
      const reader = new AudioStream(track, { sampleRate: RATE, numChannels: 1, frameSizeMs: 10 }).getReader()
      readers.push(reader)
      for (let one; !(one = await reader.read()).done;) if (rms(one.value.data) > LOUD) counts[0]++
    } else {
      const reader = new VideoStream(track).getReader()
      readers.push(reader)
      while (!(await reader.read()).done) counts[1]++
    }
  }
  const onTrack = (track: RemoteTrack, _publication: unknown, participant: { identity: string }) => { if (participant.identity === from) follow(track).catch(() => {}) }
  room.on(RoomEvent.TrackSubscribed, onTrack)
  for (const { track } of room.remoteParticipants.get(from)?.trackPublications.values() ?? []) if (track) follow(track as RemoteTrack).catch(() => {})
  await new Promise((resolve) => { setTimeout(resolve, ms) })
  room.off(RoomEvent.TrackSubscribed, onTrack)
  for (const reader of readers) reader.cancel().catch(() => {})
  return counts
}

function firstAudio (room: Room): Promise<RemoteTrack> {
  for (const participant of room.remoteParticipants.values()) {
    for (const { track } of participant.trackPublications.values()) if (track?.kind === TrackKind.KIND_AUDIO) return Promise.resolve(track as RemoteTrack)
  }
  return new Promise((resolve, reject) => {
    room.on(RoomEvent.TrackSubscribed, (track) => { if (track.kind === TrackKind.KIND_AUDIO) resolve(track) })
    setTimeout(reject, 10_000, new Error('nobody else in the room makes a sound'))
  })
}

function rms (samples: Int16Array): number {
  return Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length)
}

async function obey (order: Order): Promise<void> {
  if (order.op === 'join') return join(order)
  const room = rooms.get(order.id)
  try {
    if (order.op === 'leave') await room?.disconnect()
    if (order.op === 'attributes') await room?.localParticipant!.setAttributes(order.attributes)
    if (order.op === 'video' && room) await show(room, order.source)
    if (order.op === 'caption' && room) await caption(room, order)
    let result: number[] | undefined
    if (order.op === 'echo' && room) result = await measureEcho(room, order.beeps)
    if (order.op === 'receive' && room) result = await receive(room, order.from, order.ms)
    tell({ id: order.id, event: 'done', result })
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
