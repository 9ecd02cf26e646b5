// The avatar process of the stand-in: joins with the given token, plays what it is sent, shows a picture, ends with the room.
import {
  AudioFrame, AudioSource, LocalAudioTrack, LocalVideoTrack, Room, RoomEvent, TrackPublishOptions, TrackSource, VideoBufferType, VideoFrame, VideoSource
} from '@livekit/rtc-node'

const RATE = 24_000
const FRAME = RATE / 100
const [WIDTH, HEIGHT] = [320, 240]

const [url, token] = process.argv.slice(2)
const room = new Room()
const audio = new AudioSource(RATE, 1, 60_000)
const video = new VideoSource(WIDTH, HEIGHT)
let cleared = false
const playing = () => !cleared

room.registerByteStreamHandler('lk.audio_stream', async (reader, { identity }) => {
  cleared = false
  let seconds = 0
  let rest = new Int16Array(0)
  for await (const chunk of reader) {
    const samples = new Int16Array(rest.length + chunk.byteLength / 2)
    samples.set(rest)
    samples.set(new Int16Array(chunk.slice().buffer), rest.length)
    const whole = samples.length - samples.length % FRAME
    for (let i = 0; i < whole && playing(); i += FRAME) {
      await audio.captureFrame(new AudioFrame(samples.slice(i, i + FRAME), RATE, 1, FRAME))
      seconds += FRAME / RATE
    }
    rest = samples.slice(whole)
  }
  if (!cleared) await audio.waitForPlayout()
  await room.localParticipant?.performRpc({
    destinationIdentity: identity, method: 'lk.playback_finished', payload: JSON.stringify({ playback_position: seconds, interrupted: cleared })
  })
})

await room.connect(url!, token!, { autoSubscribe: true, dynacast: false })
room.localParticipant!.registerRpcMethod('lk.clear_buffer', async () => {
  cleared = true
  audio.clearQueue()
  return 'ok'
})
room.on(RoomEvent.Disconnected, () => {
  console.log(`session ended ${Date.now()}`)
  process.exit(0)
})
// Leaves in order when it is told to, in mid-call too.
process.on('SIGTERM', () => { room.disconnect() })
await room.localParticipant!.publishTrack(LocalAudioTrack.createAudioTrack('voice', audio), new TrackPublishOptions({ source: TrackSource.SOURCE_MICROPHONE }))
await room.localParticipant!.publishTrack(LocalVideoTrack.createVideoTrack('face', video), new TrackPublishOptions({ source: TrackSource.SOURCE_CAMERA }))
const picture = new Uint8Array(WIDTH * HEIGHT * 4)
setInterval(() => {
  picture.fill(Math.floor(Date.now() / 20) % 256)
  video.captureFrame(new VideoFrame(picture, WIDTH, HEIGHT, VideoBufferType.RGBA))
}, 66)
