// A caller: joins a room as a user would, plays sound, records what it hears, and knows when which happened.
import {
  AudioFrame, AudioSource, AudioStream, LocalAudioTrack, Room, RoomEvent, TrackKind, TrackPublishOptions, TrackSource,
  type RemoteParticipant, type RemoteTrack
} from '@livekit/rtc-node'
import { setTimeout as sleep } from 'node:timers/promises'
import { levelOf } from '../../src/audio.ts'
import type { LiveKit } from './livekit.ts'
import { until } from './processes.ts'

export const RATE = 24_000
const FRAME = RATE / 100
const LOUD = -45

interface Heard { at: number, level: number, samples: Int16Array, from: string }

/** Joins and publishes a microphone that sends silence until something is said. `prepare` is given the room before it is entered; `token` is the service's; one of a conversation in writing allows no microphone. */
export async function call (livekit: LiveKit, roomName: string, identity: string, prepare: (room: Room) => void = () => {}, token?: string, withMicrophone = true) {
  const room = new Room()
  prepare(room)
  const heard: Heard[] = []
  const transcripts: Array<{ from: string, text: string, at: number }> = []
  const captions: Array<{ from: string, text: string, at: number, over: boolean }> = []

  room.on(RoomEvent.TrackSubscribed, async (track: RemoteTrack, _publication, participant: RemoteParticipant) => {
    if (track.kind !== TrackKind.KIND_AUDIO) return
    const frames = new AudioStream(track, { sampleRate: RATE, numChannels: 1, frameSizeMs: 10 }).getReader()
    for (;;) {
      const { value, done } = await frames.read()
      if (done) break
      heard.push({ at: performance.now(), level: levelOf(value.data), samples: value.data.slice(), from: participant.identity })
    }
  })
  room.registerTextStreamHandler('lk.transcription', async (reader, { identity: from }) => {
    const caption = { from, text: '', at: performance.now(), over: false }
    captions.push(caption)
    try {
      for await (const chunk of reader) caption.text += chunk
    } catch {
      // The agent died while it spoke.
    }
    caption.over = true
    transcripts.push({ from, text: caption.text, at: performance.now() })
  })
  await room.connect(livekit.url, token ?? await livekit.joinToken(roomName, identity), { autoSubscribe: true, dynacast: false })

  const source = new AudioSource(RATE, 1, 200)
  const options = new TrackPublishOptions({ source: TrackSource.SOURCE_MICROPHONE })
  if (withMicrophone) await room.localParticipant!.publishTrack(LocalAudioTrack.createAudioTrack('microphone', source), options)

  const queue: Int16Array[] = []
  let speechEndedAt = 0
  let speechStartedAt = 0
  let open = withMicrophone
  const microphoneIsOpen = () => open
  const microphone = (async () => {
    let next = performance.now()
    const silence = new Int16Array(FRAME)
    while (microphoneIsOpen()) {
      const samples = queue.shift() ?? silence
      if (levelOf(samples) > LOUD) {
        // When it leaves the microphone, not when it is queued for it.
        speechEndedAt = performance.now() + source.queuedDuration
        speechStartedAt ||= speechEndedAt
      }
      await source.captureFrame(new AudioFrame(samples, RATE, 1, FRAME))
      // As a microphone: what was missed is not made up for, it would wait in the queue from then on.
      next = Math.max(next + 10, performance.now() - 20)
      const wait = next - performance.now()
      if (wait > 1) await sleep(wait)
    }
  })()

  const after = (time: number) => heard.filter(({ at }) => at > time)
  /** The first moment after `time` from which three of five frames are loud. */
  const soundAfter = (time: number): number | undefined => {
    const frames = after(time)
    const index = frames.findIndex((_, i) => frames.slice(i, i + 5).filter(({ level }) => level > LOUD).length >= 3)
    return index < 0 ? undefined : frames[index]!.at
  }
  /** The first moment after `time` from which nothing is heard for `quiet` milliseconds. */
  const silenceAfter = (time: number, quiet: number): number | undefined => {
    const loud = after(time).filter(({ level }) => level > LOUD).map(({ at }) => at)
    const marks = [time, ...loud, performance.now()]
    const index = marks.findIndex((at, i) => i + 1 < marks.length && marks[i + 1]! - at > quiet)
    return index < 0 ? undefined : marks[index]
  }

  return {
    room,
    identity,
    heard,
    /** Texts that are complete, by when they were. */
    transcripts,
    /** Texts as they grow, by when they began. */
    captions,
    /** Participants that are agents, themselves or on behalf of one. */
    others: () => [...room.remoteParticipants.values()],
    /** Says samples at RATE; resolves with the moment of the last loud one. */
    async say (samples: Int16Array): Promise<{ startedAt: number, endedAt: number }> {
      speechStartedAt = 0
      for (let i = 0; i < samples.length; i += FRAME) {
        const frame = new Int16Array(FRAME)
        frame.set(samples.subarray(i, i + FRAME))
        queue.push(frame)
      }
      await until('the sentence is said', () => queue.length === 0, 3 * samples.length / RATE * 1000 + 5000)
      return { startedAt: speechStartedAt, endedAt: speechEndedAt }
    },
    /** Stops talking in the middle. */
    hush: () => { queue.length = 0 },
    soundAfter,
    hears: (time: number, limit = 15_000) => until('a sound is heard', () => soundAfter(time), limit),
    silenceAfter,
    /** How long each silence between two sounds was, milliseconds. */
    pauses (from: number, to: number): number[] {
      const loud = heard.filter(({ at, level }) => at > from && at < to && level > LOUD).map(({ at }) => at)
      return loud.slice(1).map((at, i) => at - loud[i]!)
    },
    hearsSilence: (time: number, quiet = 1200, limit = 30_000) => until('it becomes silent', () => silenceAfter(time, quiet), limit),
    /** What was heard between two moments, as one piece. */
    recording (from: number, to = Infinity): Int16Array {
      const frames = heard.filter(({ at }) => at > from && at < to)
      const all = new Int16Array(frames.reduce((sum, { samples }) => sum + samples.length, 0))
      let offset = 0
      for (const { samples } of frames) {
        all.set(samples, offset)
        offset += samples.length
      }
      return all
    },
    /** Stays, but neither talks nor listens any more: what callers take of the processor is not the agents'. */
    async rest (): Promise<void> {
      open = false
      await microphone
      for (const { trackPublications } of room.remoteParticipants.values()) for (const publication of trackPublications.values()) publication.setSubscribed(false)
    },
    async leave (): Promise<void> {
      open = false
      await microphone
      await room.disconnect()
    }
  }
}

export type Caller = Awaited<ReturnType<typeof call>>
