// The echo agent: says back what the user says, without any model: proof that media flows both ways.
import { AudioSource, AudioStream, LocalAudioTrack, RoomEvent, TrackKind, TrackPublishOptions, TrackSource, type AudioFrame, type RemoteParticipant, type RemoteTrack, type TextStreamReader } from '@livekit/rtc-node'
import { isUser, type Call } from './call.ts'
import { levelOf } from './audio.ts'
import { read } from './texts.ts'

const SAMPLE_RATE = 48_000

/** Milliseconds of sound the track may hold back before it plays. */
const QUEUE = 60

/** Above this many milliseconds waiting, frames are dropped: an echo that falls behind would never catch up. */
const LATEST = 100

/** Characters of a text that are said back. */
const LONGEST = 2000

/** Milliseconds between two log lines about a user who makes sound. */
const LOG_EVERY = 5000

export async function runEcho ({ ctx, log }: Call): Promise<void> {
  const source = new AudioSource(SAMPLE_RATE, 1, QUEUE)
  const track = LocalAudioTrack.createAudioTrack('echo', source)
  await ctx.room.localParticipant?.publishTrack(track, new TrackPublishOptions({ source: TrackSource.SOURCE_MICROPHONE }))

  // What is typed comes back as what an agent says does: as a transcription (https://docs.livekit.io/agents/build/text/).
  ctx.room.registerTextStreamHandler('lk.chat', (reader, { identity }) => {
    const participant = ctx.room.remoteParticipants.get(identity)
    if (!participant || !isUser(participant)) return reader.close()
    sayBack(ctx, reader).catch((error) => log.warn({ error }, 'text not said back'))
  })
  // Not waited for: LiveKit says nothing to it any more when the room closes meanwhile, and a job whose entry waits cannot end before 15 s.
  ctx.room.localParticipant?.setAttributes({ ...ctx.room.localParticipant.attributes, 'lk.agent.state': 'listening' }).catch(() => {})

  const listen = (remote: RemoteTrack, participant: RemoteParticipant) => {
    if (remote.kind !== TrackKind.KIND_AUDIO || !isUser(participant)) return
    echo(remote, source, log).catch((error) => log.warn({ error }, 'echo stopped'))
  }
  ctx.room.on(RoomEvent.TrackSubscribed, (remote, _publication, participant) => listen(remote, participant))
  for (const participant of ctx.room.remoteParticipants.values()) {
    for (const { track: remote } of participant.trackPublications.values()) if (remote) listen(remote, participant)
  }
}

async function sayBack (ctx: Call['ctx'], reader: TextStreamReader): Promise<void> {
  const { text } = await read(reader, LONGEST)
  await ctx.room.localParticipant?.sendText(text, { topic: 'lk.transcription', attributes: { 'lk.transcription_final': 'true', 'lk.segment_id': `echo-${reader.info.streamId}` } })
}

async function echo (remote: RemoteTrack, source: AudioSource, log: Call['log']): Promise<void> {
  const frames: ReadableStreamDefaultReader<AudioFrame> = new AudioStream(remote, { sampleRate: SAMPLE_RATE, numChannels: 1, frameSizeMs: 10 }).getReader()
  let loudest = -Infinity
  let loggedAt = -Infinity
  for (;;) {
    const { value: frame, done } = await frames.read()
    if (done) return
    const waiting = source.queuedDuration
    if (waiting > LATEST) continue
    await source.captureFrame(frame)
    const level = levelOf(frame.data)
    loudest = Math.max(loudest, level)
    if (level > -50 && performance.now() - loggedAt > LOG_EVERY) {
      loggedAt = performance.now()
      log.info({ level_dbfs: Math.round(loudest), delay_ms: Math.round(waiting) + 10 }, 'echoing')
      loudest = -Infinity
    }
  }
}
