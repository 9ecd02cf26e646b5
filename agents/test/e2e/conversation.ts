// The whole spoken conversation, from the service's POST start on, on a real LiveKit server, with its figures: `npm run e2e`.
// E2E_STARTS and E2E_TURNS set how often is measured; CI measures less often.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { call, RATE, type Caller } from '../support/caller.ts'
import { median, printFigures } from '../support/figures.ts'
import { processesOf } from '../support/job-processes.ts'
import { until } from '../support/processes.ts'
import { agentJoins } from '../support/session.ts'
import { FOLDER, noisy, pythonForSpeech, resampled, wordErrors, words } from '../support/speech.ts'
import { startWholeStage, type WholeStage } from '../support/stage.ts'

const STARTS = Number(process.env.E2E_STARTS ?? 20)
const TURNS = Number(process.env.E2E_TURNS ?? 10)

/** Clean English as people say it in such calls; numbers are spelled as Whisper spells them. */
const SENTENCES = [
  'What is the weather in Paris today?',
  'Please plan three training sessions for next week, two for strength and one for running.',
  'How much protein should I eat after a long run in the morning?',
  'I slept badly last night and my left knee hurts when I climb the stairs.',
  'Remind me to drink water every two hours and to stretch before going to bed.',
  'Can you move my workout from Tuesday evening to Thursday morning?',
  'Yesterday I ran along the river for almost an hour and I felt strong.',
  'Should I take magnesium in the evening when my muscles are sore?',
  'My goal is to lose a little weight before the summer without losing muscle.',
  'Which exercises are good for my back when I sit at a desk all day?',
  'I would like to have a rest day between the two hard sessions.',
  'Thank you very much, that is all for today.'
]

let stage: WholeStage
before(async () => { stage = await startWholeStage() })
after(async () => { await stage?.stop() })

/** The share of words that Whisper gets right, in per cent, of sentences that were changed on their way. */
async function recognition (what: string, sentences: string[], rate: number, change: (samples: Int16Array) => Int16Array): Promise<number> {
  let errors = 0
  let count = 0
  for (const sentence of sentences) {
    errors += wordErrors(sentence, await stage.speech.recognise(change(await stage.speech.speak(sentence)), rate))
    count += words(sentence).length
  }
  console.log(`recognition, ${what}: ${count - errors} of ${count} words right (${(100 * (1 - errors / count)).toFixed(1)} %)`)
  return 100 * (1 - errors / count)
}

test('Whisper understands clean English: more than 95 % of the words', async () => {
  assert.ok(await recognition('clean', SENTENCES, RATE, (samples) => samples) > 95)
})

test('the Whisper server\'s own tests', async () => {
  await promisify(execFile)(await pythonForSpeech(), ['-m', 'unittest', 'discover', 'whisper'], { cwd: FOLDER, env: { ...process.env, HF_HUB_OFFLINE: '1' } })
})

test('Whisper understands what a telephone and a studio send, and noise does not make it repeat itself', async () => {
  for (const rate of [8_000, 16_000, 48_000]) {
    assert.ok(await recognition(`${rate / 1000} kHz`, SENTENCES.slice(0, 6), rate, (samples) => resampled(samples, RATE, rate)) > 95)
  }
  assert.ok(await recognition('noise at -40 dB', SENTENCES.slice(0, 6), RATE, (samples) => noisy(samples, 0.01)) > 95)
  assert.ok(await recognition('noise at -30 dB', SENTENCES.slice(0, 6), RATE, (samples) => noisy(samples, 0.03)) > 80)
})

test('an agent is there soon after the start', async () => {
  const { livekit, service, worker } = stage
  const times: number[] = []
  for (let i = 0; i < STARTS; i++) {
    await until('the pool is warm', async () => (await worker.health()).idle_processes >= 2, 20_000)
    await sleep(300)
    const session = await service.start('user-1')
    await agentJoins(livekit, session.roomName)
    times.push(performance.now() - session.startedAt)
    await service.end('user-1', session.roomName)
    await until('the job has ended', async () => (await worker.health()).active_jobs === 0)
  }
  printFigures('POST start to agent ACTIVE, warm pool', times)
  assert.ok(median(times) < 2000)
})

test('a spoken conversation', async (t) => {
  const { livekit, service, speech, worker, mcp } = stage
  await until('the pool is warm', async () => (await worker.health()).idle_processes >= 2, 20_000)
  const idle = processesOf(worker.child.pid!)
  const session = await service.start('user-1')
  await agentJoins(livekit, session.roomName)
  const joined = performance.now()
  const caller: Caller = await call(livekit, session.roomName, 'user-1', undefined, session.token)
  const greeting = await caller.hears(joined)
  console.log(`greeting heard ${Math.round(greeting - joined)} ms after the user joined`)
  await caller.hearsSilence(greeting)

  const question = await speech.speak('What is the weather in Paris today?')
  await t.test('speech, recognition, two thoughts, a tool, speech: the answer is the tool\'s', async () => {
    const times: number[] = []
    for (let i = 0; i < TURNS; i++) {
      const { endedAt } = await caller.say(question)
      const sound = await caller.hears(endedAt)
      const end = await caller.hearsSilence(sound, 900)
      times.push(sound - endedAt)
      assert.match((await speech.recognise(caller.recording(sound - 100, end + 300))).toLowerCase(), /snowy in paris/)
    }
    assert.equal(mcp.calls.length, TURNS)
    printFigures('end of the caller\'s speech to the first sound of the answer, with a tool', times)
    assert.ok(median(times) < 4000)
  })

  await t.test('an interruption silences the agent', async () => {
    const story = await speech.speak('Please tell me a story.')
    const times: number[] = []
    for (let i = 0; i < Math.ceil(TURNS / 2); i++) {
      const { endedAt } = await caller.say(story)
      const sound = await caller.hears(endedAt)
      await sleep(Math.max(0, sound + 2000 - performance.now()))
      const { startedAt } = await caller.say(question)
      times.push(await caller.hearsSilence(startedAt, 400) - startedAt)
      const answer = await caller.hears(performance.now())
      await caller.hearsSilence(answer, 900)
    }
    printFigures('start of the caller\'s speech to silence', times)
    assert.ok(median(times) < 2000)
  })

  const live = processesOf(worker.child.pid!)
  const job = live.find(({ pid }) => pid === worker.pidOf())!
  const weight = (kind: string) => idle.filter((process) => process.kind === kind).map(({ rssMb, pssMb }) => `${rssMb} RSS / ${pssMb} PSS`).join(', ')
  console.log(`memory, MB: main ${weight('main')}; turn detection ${weight('inference')}; idle processes ${weight('job')}; live session ${job.rssMb} RSS / ${job.pssMb} PSS`)
  await service.end('user-1', session.roomName)
  assert.equal((await service.status('user-1', session.roomName)).status, 404)
  await caller.leave()
})

test('two calls at once are two conversations', async () => {
  const { livekit, service, speech, worker } = stage
  await until('the pool is warm', async () => (await worker.health()).idle_processes >= 2, 20_000)
  const question = await speech.speak('What is the weather in Paris today?')
  const times: number[] = []
  await Promise.all(['user-1', 'user-2'].map(async (user, i) => {
    const session = await service.start(user)
    const agent = await agentJoins(livekit, session.roomName)
    const joined = performance.now()
    const caller = await call(livekit, session.roomName, user, undefined, session.token)
    await caller.hearsSilence(await caller.hears(joined))
    assert.deepEqual(caller.others().map(({ identity }) => identity), [agent.identity])
    await sleep(i * 1000)
    const { endedAt } = await caller.say(question)
    const sound = await caller.hears(endedAt)
    const end = await caller.hearsSilence(sound, 900)
    times.push(sound - endedAt)
    assert.match((await speech.recognise(caller.recording(sound - 100, end + 300))).toLowerCase(), /snowy in paris/)
    assert.deepEqual(caller.transcripts.filter(({ from }) => from === user).map(({ text }) => text.trim()).at(-1), 'What is the weather in Paris today?')
    await service.end(user, session.roomName)
    await caller.leave()
  }))
  printFigures('the same with two calls at once', times)
})
