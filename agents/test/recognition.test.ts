// Recognition that begins at a pause: what is told when, how often is asked, and what happens to what was only a pause.
import { VADEventType, initializeLogger, stt, type VADEvent } from '@livekit/agents'
import { AudioFrame } from '@livekit/rtc-node'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isListening, parsePrompt } from '../src/prompts.ts'
import { EagerRecognition, type EagerOptions } from '../src/recognition.ts'
import type { Ears } from '../src/voice-detection.ts'
import { until } from './support/processes.ts'

initializeLogger({ pretty: false, level: 'silent' })

const WINDOW = 512
const RATE = 16_000

/** Voice detection that says what it is told to. */
function scripted (events: () => AsyncGenerator<VADEvent>): Ears {
  return { stream: () => Object.assign(events(), { close () {} }) }
}

const event = (type: VADEventType, more: Partial<VADEvent> = {}): VADEvent => ({
  type, samplesIndex: 0, timestamp: 0, speechDuration: 320, silenceDuration: 0, frames: [new AudioFrame(new Int16Array(WINDOW), RATE, 1, WINDOW)], probability: 0, inferenceDuration: 0, speaking: true, rawAccumulatedSilence: 0, rawAccumulatedSpeech: 0, ...more
})
const begin = event(VADEventType.START_OF_SPEECH)
const voice = event(VADEventType.INFERENCE_DONE, { probability: 0.9 })
const silence = event(VADEventType.INFERENCE_DONE, { probability: 0.1 })
const end = event(VADEventType.END_OF_SPEECH, { silenceDuration: 250, speaking: false })

/** A recogniser that is asked for whole utterances and answers when it is told to. */
class Asked extends stt.STT {
  label = 'asked'
  readonly requests: Array<{ windows: number, answer: (text: string) => void, fail: (error: Error) => void }> = []

  constructor () { super({ streaming: false, interimResults: false }) }

  override stream (): never { throw new Error('it does not stream') }

  override async _recognize (buffer: AudioFrame | AudioFrame[]): Promise<stt.SpeechEvent> {
    const text = await new Promise<string>((resolve, reject) => {
      this.requests.push({ windows: [buffer].flat().reduce((sum, { samplesPerChannel }) => sum + samplesPerChannel, 0) / WINDOW, answer: resolve, fail: reject })
    })
    return { type: stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives: [{ text, language: 'en' as never, startTime: 0, endTime: 0, confidence: 1 }] }
  }
}

/** Runs a recognition over the events, which may wait for what was asked. */
function listen (events: (asked: Asked) => AsyncGenerator<VADEvent>, options: Partial<EagerOptions> = {}) {
  const asked = new Asked()
  const told: Array<[string, string?]> = []
  const stream = new EagerRecognition(asked, { onDeaf: (error) => { throw error }, ...options }, scripted(() => events(asked))).stream()
  const over = (async () => {
    for await (const { type, alternatives } of stream) told.push([stt.SpeechEventType[type], ...alternatives ? [alternatives[0].text] : []] as [string, string?])
  })()
  const settled = async (count: number) => {
    await until(() => `${count} events: ${JSON.stringify(told)}`, () => told.length >= count)
    stream.close()
    await over
    return told
  }
  return { asked, told, settled }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

test('the words are asked for in the first silent moment, and are there when the speech is over', async () => {
  const { asked, settled } = listen(async function * (asked) {
    yield * [begin, voice, voice, silence]
    await until('it is asked', () => asked.requests[0])
    asked.requests[0]!.answer('Hello there.')
    await turn()
    yield * [silence, silence, end]
  })
  assert.deepEqual(await settled(4), [['START_OF_SPEECH'], ['PREFLIGHT_TRANSCRIPT', 'Hello there.'], ['END_OF_SPEECH'], ['FINAL_TRANSCRIPT', 'Hello there.']])
  assert.deepEqual(asked.requests.map(({ windows }) => windows), [4])
})

test('what was only a pause is forgotten, and the next one is asked about with all that was said', async () => {
  const { asked, settled } = listen(async function * (asked) {
    yield * [begin, voice, silence, voice, silence]
    await until('it is asked', () => asked.requests[0])
    // One at a time: the second pause waits for the answer about the first.
    assert.equal(asked.requests.length, 1)
    asked.requests[0]!.answer('Hello')
    await turn()
    yield silence
    await until('it is asked again', () => asked.requests[1])
    asked.requests[1]!.answer('Hello there.')
    await turn()
    yield end
  })
  assert.deepEqual(await settled(4), [['START_OF_SPEECH'], ['PREFLIGHT_TRANSCRIPT', 'Hello there.'], ['END_OF_SPEECH'], ['FINAL_TRANSCRIPT', 'Hello there.']])
  assert.deepEqual(asked.requests.map(({ windows }) => windows), [3, 6])
})

test('the end of speech waits for no answer about an earlier pause, and answers come in the order of what was said', async () => {
  const { asked, settled } = listen(async function * (asked) {
    yield * [begin, voice, silence, voice, end]
    await until('both are asked', () => asked.requests[1])
    yield * [begin, voice, silence]
    await until('the next utterance is asked', () => asked.requests[2])
    yield end
    asked.requests[2]!.answer('Second.')
    await turn()
    asked.requests[1]!.answer('First.')
    asked.requests[0]!.answer('Fir')
  })
  const told = await settled(6)
  assert.deepEqual(told.filter(([type]) => type === 'FINAL_TRANSCRIPT'), [['FINAL_TRANSCRIPT', 'First.'], ['FINAL_TRANSCRIPT', 'Second.']])
  assert.equal(asked.requests.length, 3)
})

test('words that come only when the next speech has begun are told all the same, once', async () => {
  const { settled } = listen(async function * (asked) {
    yield * [begin, voice, silence, end, begin, voice]
    await until('it is asked', () => asked.requests[0])
    asked.requests[0]!.answer('First.')
    await turn()
    yield silence
    await until('the next is asked', () => asked.requests[1])
    yield * [voice, silence, end]
    asked.requests[1]!.answer('Second')
    await until('all of it is asked', () => asked.requests[2])
    asked.requests[2]!.answer('Second one.')
  })
  assert.deepEqual((await settled(7)).filter(([type]) => type === 'FINAL_TRANSCRIPT'), [['FINAL_TRANSCRIPT', 'First.'], ['FINAL_TRANSCRIPT', 'Second one.']])
})

test('a failure is told once, at the end of the speech, and not when it was about a pause', async () => {
  const deaf: string[] = []
  const { settled } = listen(async function * (asked) {
    yield * [begin, voice, silence]
    await until('it is asked', () => asked.requests[0])
    asked.requests[0]!.fail(new Error('about a pause'))
    await turn()
    yield * [voice, silence]
    await until('it is asked again', () => asked.requests[1])
    asked.requests[1]!.fail(new Error('at the end'))
    await turn()
    assert.deepEqual(deaf, [])
    yield end
    await until('it is told', () => deaf.length > 0)
  }, { onDeaf: (error) => deaf.push((error as Error).message) })
  assert.deepEqual(await settled(2), [['START_OF_SPEECH'], ['END_OF_SPEECH']])
  assert.deepEqual(deaf, ['at the end'])
})

test('where no word was heard up to the pause, all of the speech is asked about', async () => {
  const { asked, settled } = listen(async function * (asked) {
    yield * [begin, voice, silence]
    await until('it is asked', () => asked.requests[0])
    asked.requests[0]!.answer('')
    await turn()
    yield end
    await until('it is asked again', () => asked.requests[1])
    asked.requests[1]!.answer('Yes.')
  })
  assert.deepEqual(await settled(3), [['START_OF_SPEECH'], ['END_OF_SPEECH'], ['FINAL_TRANSCRIPT', 'Yes.']])
  assert.equal(asked.requests.length, 2)
})

test('what does not count is not told', async () => {
  const { asked, settled } = listen(async function * (asked) {
    yield * [begin, voice, silence]
    await until('it is asked', () => asked.requests[0])
    asked.requests[0]!.answer('Mm-hmm.')
    await turn()
    yield * [end, begin, voice, end]
    await until('it is asked again', () => asked.requests[1])
    asked.requests[1]!.answer('Stop.')
  }, { listens: () => (text) => text === 'Mm-hmm.' })
  assert.deepEqual((await settled(5)).filter(([type]) => type.includes('TRANSCRIPT')), [['FINAL_TRANSCRIPT', 'Stop.']])
  assert.equal(asked.requests.length, 2)
})

test('after half a minute without a break no pause is asked about', async () => {
  const long = { speechDuration: 30_001 }
  const { asked, settled } = listen(async function * (asked) {
    yield * [begin, event(VADEventType.INFERENCE_DONE, { ...long, probability: 0.9 }), event(VADEventType.INFERENCE_DONE, { ...long, probability: 0.1 })]
    await turn()
    assert.equal(asked.requests.length, 0)
    yield end
    await until('it is asked', () => asked.requests[0])
    asked.requests[0]!.answer('A long story.')
  })
  assert.deepEqual((await settled(3)).at(-1), ['FINAL_TRANSCRIPT', 'A long story.'])
  assert.equal(asked.requests.length, 1)
})

test('who only says that they listen is known in whatever way it is written', () => {
  const { acknowledgements } = parsePrompt('---\nacknowledgements: mhm, Mm-hmm, uh-huh\n---\nBe kind.')
  for (const text of ['Mhm.', ' MHM, mm-hmm! ', 'Uh-huh', 'M-H-M.']) assert.ok(isListening(text, acknowledgements), text)
  for (const text of ['Mhm, stop.', 'No.', '', '...', 'Yes']) assert.ok(!isListening(text, acknowledgements), text)
  assert.ok(!isListening('Mhm.', parsePrompt('Be kind.').acknowledgements))
})
