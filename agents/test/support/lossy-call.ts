// A call in a network of its own: reads what is to be said as JSON, says it in a room, and prints what the other side of the room heard.
import { AudioFrame, AudioSource, AudioStream, LocalAudioTrack, Room, RoomEvent, TrackKind, TrackPublishOptions, TrackSource, type RemoteTrack } from '@livekit/rtc-node'
import { setTimeout as sleep } from 'node:timers/promises'
import { levelOf } from '../../src/audio.ts'
import { startLiveKit } from './livekit.ts'

const RATE = 24_000
const FRAME = RATE / 100
/** Milliseconds of silence around each sentence, and how long a sentence may still be on its way. */
const PAUSE = 1500

let input = ''
for await (const chunk of process.stdin) input += chunk
const { options, said } = JSON.parse(input) as { options: { red: boolean, dtx: boolean }, said: number[][] }

const livekit = await startLiveKit()
await livekit.rooms.createRoom({ name: 'room' })
const [speaker, listener] = [new Room(), new Room()]
let heard: number[] = []
listener.on(RoomEvent.TrackSubscribed, async (track: RemoteTrack) => {
  if (track.kind !== TrackKind.KIND_AUDIO) return
  const frames = new AudioStream(track, { sampleRate: RATE, numChannels: 1, frameSizeMs: 10 }).getReader()
  for (;;) {
    const { value, done } = await frames.read()
    if (done) break
    for (const sample of value.data) heard.push(sample)
  }
})
await listener.connect(livekit.url, await livekit.joinToken('room', 'listener'), { autoSubscribe: true, dynacast: false })
await speaker.connect(livekit.url, await livekit.joinToken('room', 'speaker'), { autoSubscribe: true, dynacast: false })
const source = new AudioSource(RATE, 1, 200)
await speaker.localParticipant!.publishTrack(LocalAudioTrack.createAudioTrack('microphone', source), new TrackPublishOptions({ source: TrackSource.SOURCE_MICROPHONE, ...options }))

async function say (samples: Int16Array): Promise<void> {
  let next = performance.now()
  for (let i = 0; i < samples.length; i += FRAME) {
    const frame = new Int16Array(FRAME)
    frame.set(samples.subarray(i, i + FRAME))
    await source.captureFrame(new AudioFrame(frame, RATE, 1, FRAME))
    next = Math.max(next + 10, performance.now() - 20)
    await sleep(Math.max(0, next - performance.now()))
  }
}

await say(new Int16Array(3 * RATE))
const results: number[][] = []
for (const samples of said) {
  heard = []
  await say(Int16Array.from(samples))
  await say(new Int16Array(PAUSE / 1000 * RATE))
  const first = heard.findIndex((_, i) => i % FRAME === 0 && levelOf(Int16Array.from(heard.slice(i, i + FRAME))) > -50)
  results.push(heard.slice(Math.max(0, first - RATE / 2)))
}
process.stdout.write(JSON.stringify(results), () => process.exit(0))
