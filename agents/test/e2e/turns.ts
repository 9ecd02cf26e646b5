// How long people wait for an answer, and where that time goes: medians with and without a tool, interruptions true and false, two calls
// at once, and the waterfall of a turn from its trace. `npm run prove:turns`; TURNS sets how often each is measured.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { find } from '../../../dev/find.ts'
import { startCollector, type Collector, type Span } from '../../../dev/observe/otlp.ts'
import { call, RATE, type Caller } from '../support/caller.ts'
import { median, printFigures } from '../support/figures.ts'
import { processesOf } from '../support/job-processes.ts'
import { until } from '../support/processes.ts'
import { agentJoins } from '../support/session.ts'
import { cough, hum } from '../support/sounds.ts'
import { spokenAt } from '../support/speech.ts'
import { startWholeStage, type WholeStage } from '../support/stage.ts'

const TURNS = Number(process.env.TURNS ?? 10)

let collector: Collector
let stage: WholeStage
before(async () => {
  collector = await startCollector()
  stage = await startWholeStage({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: '500' } })
})
after(async () => {
  await stage?.stop()
  await collector?.stop()
})

async function begin (user: string): Promise<{ caller: Caller, greeting: number, end (): Promise<void> }> {
  const { livekit, service, worker } = stage
  await until('the pool is warm', async () => (await worker.health()).idle_processes >= 1, 20_000)
  const session = await service.start(user)
  await agentJoins(livekit, session.roomName)
  const joined = performance.now()
  const caller = await call(livekit, session.roomName, user, undefined, session.token)
  const sound = await caller.hears(joined)
  await caller.hearsSilence(sound)
  return {
    caller,
    greeting: sound - joined,
    async end () {
      await service.end(user, session.roomName)
      await caller.leave()
    }
  }
}

interface Turn { endedAt: number, soundAt: number }

async function turn (caller: Caller, said: Int16Array): Promise<Turn> {
  const { endedAt } = await caller.say(said)
  const soundAt = await caller.hears(endedAt)
  await caller.hearsSilence(soundAt, 900)
  return { endedAt, soundAt }
}

/** When which part of the turns began and ended, milliseconds after the caller's last sound: medians. */
function printWaterfall (name: string, turns: Turn[]): void {
  const rows: Record<string, Array<[number, number]>> = {}
  for (const { endedAt, soundAt } of turns) {
    const zero = performance.timeOrigin + endedAt
    const within = (span: Span) => span.end > zero && span.start < performance.timeOrigin + soundAt
    const mine = collector.spans.filter(within).sort((a, b) => a.start - b.start)
    const add = (what: string, span: Span | undefined) => { if (span) (rows[what] ??= []).push([span.start - zero, span.end - zero]) }
    const all = (path: string) => mine.filter((span) => span.name === `POST ${path}`)
    add('recognition (last request)', all('/v1/audio/transcriptions').at(-1))
    add('end of turn', mine.filter((span) => span.name === 'eou_detection').at(-1))
    add('the turn is over', mine.find((span) => span.name === 'user_turn'))
    const thoughts = all('/v1/chat/completions').slice(-(name.includes('with a tool') ? 2 : 1))
    thoughts.forEach((span, i) => add(`model, call ${i + 1}`, span))
    add('tool', mine.find((span) => span.name === 'function_tool'))
    add('voice (first request)', all('/v1/audio/speech')[0])
    add('agent speaks', mine.find((span) => span.name === 'agent_speaking' && span.start > zero))
    ;(rows['heard by the caller'] ??= []).push([soundAt - endedAt, soundAt - endedAt])
  }
  console.log(`waterfall ${name}, ms after the caller's last sound:`)
  for (const [what, times] of Object.entries(rows)) {
    const [from, to] = [median(times.map(([start]) => start)), median(times.map(([, end]) => end))]
    console.log(`  ${what}: ${Math.round(from)} to ${Math.round(to)} (n ${times.length})`)
  }
}

test('what one call feels like', async () => {
  const { speech, model, worker, mcp } = stage
  const { caller, greeting, end } = await begin('user-1')
  console.log(`user joins to the greeting: ${Math.round(greeting)} ms`)
  const say = (text: string) => speech.speak(text)

  const plain = await say('I slept well and I had a good breakfast.')
  const question = await say('What is the weather in Paris today?')
  const story = await say('Please tell me a story.')

  for (const [name, said] of [['without a tool', plain], ['with a tool', question]] as const) {
    const turns: Turn[] = []
    for (let i = 0; i < TURNS; i++) turns.push(await turn(caller, said))
    printFigures(`end of speech to first sound, ${name}`, turns.map(({ endedAt, soundAt }) => soundAt - endedAt))
    await sleep(1000)
    printWaterfall(name, turns)
  }
  assert.equal(mcp.calls.length, TURNS)
  console.log(`model calls: ${model.requests.length} for ${2 * TURNS} turns, of which half take two`)

  const silences: number[] = []
  for (let i = 0; i < Math.ceil(TURNS / 2); i++) {
    const { endedAt } = await caller.say(story)
    const sound = await caller.hears(endedAt)
    await sleep(Math.max(0, sound + 2000 - performance.now()))
    const { startedAt } = await caller.say(question)
    silences.push(await caller.hearsSilence(startedAt, 400) - startedAt)
    await caller.hearsSilence(await caller.hears(performance.now()), 900)
  }
  printFigures('start of speech to silence of the agent', silences)

  // What is no interruption: the story goes on to its end.
  for (const [name, noise] of [['a cough', cough(RATE)], ['"mhm", hummed', hum(RATE)], ['"mm-hmm", spoken', await find('flite') ? await spokenAt(RATE, 'flite', ['-voice', 'slt'], 'Mm-hmm.') : undefined]] as const) {
    if (!noise) {
      console.log(`${name}: flite is not installed`)
      continue
    }
    const { endedAt } = await caller.say(story)
    const sound = await caller.hears(endedAt)
    await sleep(Math.max(0, sound + 2000 - performance.now()))
    const { startedAt } = await caller.say(noise)
    const end = await caller.hearsSilence(startedAt, 4000)
    const heard = await speech.recognise(caller.recording(sound - 100, end + 300))
    const pauses = caller.pauses(startedAt, end)
    console.log(`${name}: the story ${/autumn/i.test(heard) ? 'was told to its end' : 'ENDED'}, longest pause ${Math.round(Math.max(0, ...pauses))} ms`)
  }

  const job = processesOf(worker.child.pid!).find(({ pid }) => pid === worker.pidOf())!
  console.log(`memory of the call's process: ${job.rssMb} RSS / ${job.pssMb} PSS`)
  await end()
})

test('two calls at once', async () => {
  const { speech } = stage
  const question = await speech.speak('What is the weather in Paris today?')
  const times: number[] = []
  const calls = await Promise.all(['user-2', 'user-3'].map(begin))
  await Promise.all(calls.map(async ({ caller }, i) => {
    await sleep(i * 300)
    for (let n = 0; n < Math.ceil(TURNS / 2); n++) {
      const { endedAt, soundAt } = await turn(caller, question)
      times.push(soundAt - endedAt)
    }
  }))
  printFigures('end of speech to first sound, with a tool, two calls at once', times)
  for (const { end } of calls) await end()
})
