// One call as a user makes it, from the start over the service to the refusal of the old token, with the time of each step.
import {
  AudioFrame, AudioSource, AudioStream, LocalAudioTrack, ParticipantKind, Room, RoomEvent, TrackKind, TrackPublishOptions, TrackSource,
  type RemoteParticipant, type RemoteTrack
} from '@livekit/rtc-node'
import { setTimeout as sleep } from 'node:timers/promises'
import { levelOf } from '../audio.ts'
import { withoutTokens } from '../without-tokens.ts'
import { SAMPLE_RATE, sample } from './sample.ts'
import type { Outcome, Step } from './steps.ts'

export interface ProbeOptions {
  /** Address of the service, without the path of the API. */
  url: string
  /** A user's token. */
  token: string
  /** Milliseconds that any one step may take. */
  patience: number
}

const BASE = '/api/v1/voice-sessions'
/** Milliseconds a greeting is waited for; an agent that has none is spoken to without. */
const GREETING = 4000
/** Milliseconds of quiet after which the agent has finished. */
const QUIET = 700
/** dBFS above which something counts as heard. */
const LOUD = -45
const FRAME = SAMPLE_RATE / 100

class Failure extends Error {}

/** Makes the call. Never throws: what went wrong is in the outcome, and a session that was started is ended all the same. */
export async function probe ({ url, token, patience }: ProbeOptions): Promise<Outcome> {
  const times: Outcome['times'] = {}
  const began = performance.now()
  const room = new Room()
  const ear = listen(room)
  let step: Step = 'start'
  let roomName: string | undefined
  const timed = async <T>(name: Step, work: Promise<T>, since = performance.now()): Promise<T> => {
    step = name
    const result = await within(patience, work)
    times[name] = Math.round(performance.now() - since)
    return result
  }
  const call = async (method: string, path: string, expected: number) => {
    const response = await fetch(new URL(BASE + path, url), { method, headers: { authorization: `Bearer ${token}` }, signal: AbortSignal.timeout(patience) })
    const body = await response.json().catch(() => ({})) as Record<string, unknown>
    if (response.status !== expected) throw new Failure(`${method} ${path.replace(/[^/]+-[0-9a-f]{32}/, '{room_name}')} answered ${response.status} ${String(body.detail ?? '')}`.trim())
    return body
  }

  try {
    const started = await timed('start', call('POST', '/start', 200)) as { room_name: string, token: string, livekit_url: string }
    roomName = started.room_name
    const closed = new Promise<void>((resolve) => room.once(RoomEvent.Disconnected, () => resolve()))
    await timed('join', room.connect(started.livekit_url, started.token, { autoSubscribe: true, dynacast: false }))
    const microphone = await publish(room)

    await timed('agent', until(() => [...room.remoteParticipants.values()].some(isAgent)), began)
    await Promise.race([until(() => ear.soundAfter(began)), sleep(GREETING)])
    step = 'sound'
    if (ear.soundAfter(began) !== undefined) {
      times.sound = Math.round(ear.soundAfter(began)! - began)
      await within(Math.max(patience, 30_000), until(() => performance.now() - ear.lastSound() > QUIET))
    }
    const spoke = performance.now()
    const speaking = say(microphone)
    await timed('answer', until(() => ear.soundAfter(spoke)), spoke)
    await speaking

    const status = await timed('status', call('GET', `/${roomName}/status`, 200))
    if (!status.active || !status.agent_connected) throw new Failure('the status does not show the call')
    await timed('end', call('DELETE', `/${roomName}`, 200))
    const ended = roomName
    roomName = undefined
    await timed('closed', closed)
    await timed('refused', refuses(started.livekit_url, started.token))
    await call('GET', `/${ended}/status`, 404)
    return { ok: true, times, total: Math.round(performance.now() - began) }
  } catch (error) {
    return { ok: false, step, reason: reasonOf(error), times, total: Math.round(performance.now() - began) }
  } finally {
    if (roomName) await call('DELETE', `/${roomName}`, 200).catch(() => {})
    await within(3000, room.disconnect()).catch(() => {})
  }
}

/** The old token must open nothing; where LiveKit lets it in all the same, its holder must be out again. */
async function refuses (url: string, token: string): Promise<void> {
  const room = new Room()
  const out = new Promise<void>((resolve) => room.once(RoomEvent.Disconnected, () => resolve()))
  const opened = await room.connect(url, token, { autoSubscribe: false, dynacast: false }).then(() => true, () => false)
  if (opened) await Promise.race([out, sleep(8000).then(() => { throw new Failure('the token of the ended session still opens its room') })]).finally(() => room.disconnect())
}

async function publish (room: Room): Promise<AudioSource> {
  const source = new AudioSource(SAMPLE_RATE, 1)
  await room.localParticipant!.publishTrack(LocalAudioTrack.createAudioTrack('microphone', source), new TrackPublishOptions({ source: TrackSource.SOURCE_MICROPHONE }))
  return source
}

/** Says the sample, and is silent for a second: the agent waits for the end of a sentence. */
async function say (source: AudioSource): Promise<void> {
  const words = new Int16Array(sample.length + SAMPLE_RATE)
  words.set(sample)
  for (let at = 0; at < words.length; at += FRAME) {
    const frame = words.slice(at, at + FRAME)
    await source.captureFrame(new AudioFrame(frame, SAMPLE_RATE, 1, frame.length))
  }
}

/** Hears what agents say: when a sound was, judged by three loud frames of 10 ms in a row. */
function listen (room: Room) {
  const sounds: number[] = []
  room.on(RoomEvent.TrackSubscribed, async (track: RemoteTrack, _publication, participant: RemoteParticipant) => {
    if (track.kind !== TrackKind.KIND_AUDIO || !isAgent(participant)) return
    const frames = new AudioStream(track, { sampleRate: 16_000, numChannels: 1, frameSizeMs: 10 }).getReader()
    for (let loud = 0; ;) {
      const { value, done } = await frames.read()
      if (done) return
      loud = levelOf(value.data) > LOUD ? loud + 1 : 0
      if (loud >= 3) sounds.push(performance.now())
    }
  })
  return {
    soundAfter: (time: number) => sounds.find((at) => at > time),
    lastSound: () => sounds.at(-1) ?? -Infinity
  }
}

const isAgent = ({ info }: RemoteParticipant) => info.kind === ParticipantKind.AGENT

async function until (look: () => unknown): Promise<void> {
  while (look() === undefined || look() === false) await sleep(10)
}

async function within<T> (limit: number, work: Promise<T>): Promise<T> {
  const timer = new AbortController()
  const late = sleep(limit, undefined, { signal: timer.signal }).then(() => { throw new Failure(`nothing within ${limit / 1000} s`) })
  late.catch(() => {}) // when the work was first
  try {
    return await Promise.race([work, late])
  } finally {
    timer.abort()
  }
}

/** Without a token: LiveKit repeats the one it refuses. */
function reasonOf (error: unknown): string {
  const { message, cause } = error as Error
  const { code } = (cause ?? {}) as { code?: string }
  return withoutTokens(`${message}${code ? ` (${code})` : ''}`).slice(0, 300)
}
