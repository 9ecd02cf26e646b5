// Voice detection that keeps up: the model is asked about less than all the sound when sound waits, and others hear by the same stream.
import { VADEventType, initializeLogger, type VADEvent, type VADStream } from '@livekit/agents'
import { AudioFrame, combineAudioFrames } from '@livekit/rtc-node'
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { test } from 'node:test'
import { VoiceDetection } from '../src/voice-detection.ts'

initializeLogger({ pretty: false, level: 'silent' })

const RATE = 16_000
const WINDOW = 512

/** A model that takes what is loud for a voice, and a turn of the event loop for its answer: as a thread does. */
const model = { asked: 0 }
const native = createRequire(fileURLToPath(import.meta.resolve('@livekit/agents')))('@livekit/local-inference') as { createVad: unknown }
native.createVad = () => ({
  async predict (window: Int16Array) {
    model.asked++
    await new Promise((resolve) => setImmediate(resolve))
    return window[0]! > 100 ? 0.9 : 0.1
  },
  reset () {}
})

const windows = (count: number, value: number) => Array.from({ length: count }, () => new AudioFrame(new Int16Array(WINDOW).fill(value), RATE, 1, WINDOW))
/** A second of silence, three of speech, a second and a half of silence. */
const sound = [...windows(31, 0), ...windows(94, 1000), ...windows(47, 0)]
const VOICE = { first: 31, last: 125 }

/** Levels of the windows, one after the other: short enough to be shown when they differ. */
const asText = (samples: Int16Array) => [...samples].map((value) => value > 100 ? '#' : '.').filter((_, i) => i % 256 === 0).join('')

/** Reads all that is said about `count` windows. */
async function read (stream: AsyncIterable<VADEvent>, count: number): Promise<VADEvent[]> {
  const events: VADEvent[] = []
  for await (const event of stream) {
    events.push(event)
    if (events.filter(({ type }) => type === VADEventType.INFERENCE_DONE).length === count) break
  }
  return events
}
const turnsOf = (events: VADEvent[]) => events.filter(({ type }) => type !== VADEventType.INFERENCE_DONE).map(({ type, samplesIndex }) => [VADEventType[type], samplesIndex / WINDOW])

async function begin (): Promise<VADStream> {
  model.asked = 0
  return new VoiceDetection().stream()
}

test('in time, the model is asked about each window', async () => {
  const stream = await begin()
  const events: VADEvent[] = []
  for (const frame of sound) {
    stream.pushFrame(frame)
    events.push(...await read(stream, 1))
  }
  stream.close()
  assert.equal(model.asked, sound.length)
  // 50 ms of voice begin a speech, 250 ms of silence end it; the window in which it ends comes before its end.
  assert.deepEqual(turnsOf(events), [['START_OF_SPEECH', VOICE.first + 2], ['END_OF_SPEECH', VOICE.last + 8]])
})

test('five seconds late, it is asked about an eighth of them until it has caught up, and speech begins and ends all the same', async () => {
  const stream = await begin()
  for (const frame of sound) stream.pushFrame(frame)
  const events = await read(stream, sound.length)
  stream.close()
  assert.ok(model.asked < sound.length / 4, `asked ${model.asked} times about ${sound.length} windows`)
  const [start, end, ...more] = turnsOf(events)
  assert.deepEqual([start![0], end![0], more], ['START_OF_SPEECH', 'END_OF_SPEECH', []])
  assert.ok(Math.abs(Number(start![1]) - VOICE.first) <= 10 && Math.abs(Number(end![1]) - VOICE.last) <= 16, JSON.stringify([start, end]))
})

test('others hear the same by the same stream, from when they begin to listen until they do no more', async () => {
  model.asked = 0
  const detection = new VoiceDetection()
  const listener = detection.listener().stream()
  const stream = detection.stream()
  for (const frame of sound) stream.pushFrame(frame)
  const [events, heard] = await Promise.all([read(stream, sound.length), read(listener, sound.length)])
  assert.deepEqual(heard.map(({ type, samplesIndex }) => [type, samplesIndex]), events.map(({ type, samplesIndex }) => [type, samplesIndex]))
  assert.ok(model.asked < sound.length / 4)
  // The sound of the speech is whole: half a second before it, and the silence after it.
  const spoken = heard.find(({ type }) => type === VADEventType.END_OF_SPEECH)!
  const begun = heard.find(({ type }) => type === VADEventType.START_OF_SPEECH)!
  const from = begun.samplesIndex - begun.frames[0]!.samplesPerChannel
  assert.equal(asText(spoken.frames[0]!.data), asText(combineAudioFrames(sound).data.slice(from, spoken.samplesIndex)))
  listener.close()
  const over: VADEvent[] = []
  for await (const event of listener) over.push(event)
  assert.deepEqual(turnsOf(over), [])
  stream.close()
})
