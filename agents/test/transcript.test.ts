// The transcript of real calls is what was said in them, also after the agent was killed in mid-sentence; nothing of it is in any log.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { call } from './support/caller.ts'
import { until } from './support/processes.ts'
import { agentJoins } from './support/session.ts'
import { startWholeStage, type WholeStage } from './support/stage.ts'

const KEY = 'yKHwTnuS02UOi0fPEtWaY3TrCNH2kjylsNceb0gpXDs='
const STORY = [
  'Once upon a time there was a runner who trained every morning before the sun came up.',
  'She ran along the river, over the old bridge, and through the quiet park.',
  'One day she met another runner, and they decided to train together for the long race in autumn.'
]
const QUESTION = 'What is the weather in Paris today?'

let stage: WholeStage
before(async () => { stage = await startWholeStage({ serviceEnv: { TRANSCRIPTS: 'on', TRANSCRIPT_KEYS: KEY, LOG_LEVEL: 'debug' } }) })
after(async () => { await stage?.stop() })

const words = (text: string) => text.toLowerCase().replace(/[^a-z ]/g, '').split(/\s+/).filter(Boolean)

/** Words that would have to be changed, as a share of those that were said. */
function wordErrorRate (said: string, written: string): number {
  const [a, b] = [words(said), words(written)]
  let row = b.map((_, n) => n + 1)
  row.unshift(0)
  for (const [n, word] of a.entries()) {
    const next = [n + 1]
    for (const [m, other] of b.entries()) next.push(Math.min(next[m]! + 1, row[m + 1]! + 1, row[m]! + (word === other ? 0 : 1)))
    row = next
  }
  return row.at(-1)! / a.length
}

function assertUnlogged (stage: WholeStage): void {
  for (const [whose, log] of [['worker', stage.worker.output()], ['service', stage.service.log()], ['speech servers', stage.speech.output()], ['LiveKit', stage.livekit.log()]] as const) {
    assert.ok(log.length > 500 || whose === 'speech servers', `${whose} logs`)
    for (const secret of ['weather in paris', 'snowy in paris', 'workout coach', 'once upon', 'old bridge', 'goodbye', 'eyJ', KEY]) {
      assert.ok(!log.toLowerCase().includes(secret.toLowerCase()), `the log of the ${whose} says "${secret}"`)
    }
  }
}

test('a spoken call is written down: who said what, in which order, and which tools were called', async () => {
  const { livekit, service, speech, mcp } = stage
  const session = await service.start('user-1', 'workout', { transcript: true, summary: true })
  await agentJoins(livekit, session.roomName)
  const joined = performance.now()
  const caller = await call(livekit, session.roomName, 'user-1', undefined, session.token)
  await caller.hearsSilence(await caller.hears(joined))
  const { endedAt } = await caller.say(await speech.speak(QUESTION))
  await caller.hearsSilence(await caller.hears(endedAt))

  const soFar = await service.transcript('user-1')
  assert.equal(soFar.state, 'writing')
  assert.deepEqual(soFar.lines.map(({ by }) => by), ['agent', 'user', 'tool', 'agent'])

  await caller.say(await speech.speak('Thank you, goodbye.'))
  await until('the room is gone', async () => (await livekit.rooms.listRooms([session.roomName])).length === 0, 15_000)
  await caller.leave()
  const { lines, summary } = await until('the transcript is ready', async () => {
    const transcript = await service.transcript('user-1')
    return transcript.state === 'ready' && transcript
  }, 20_000)
  const [greeting, question, tool, answer, goodbye] = lines
  assert.match(greeting!.text, /workout coach/i)
  const rate = wordErrorRate(`${QUESTION} Thank you, goodbye.`, `${question!.text} ${goodbye!.text}`)
  console.log(`word error rate ${rate}`)
  assert.ok(rate <= 0.1, `${question!.text} ${goodbye!.text}`)
  assert.deepEqual([question!.by, goodbye!.by], ['user', 'user'])
  assert.deepEqual([tool!.by, tool!.text], ['tool', 'get_weather'])
  assert.equal(mcp.calls.length, 1)
  assert.match(answer!.text, /snowy in Paris/)
  assert.equal(lines.length, 5, JSON.stringify(lines))
  assert.equal(summary, 'The user asked for the weather in Paris, which is snowy.')
  const asked = JSON.stringify(stage.model.requests.at(-1)!.messages.slice(1))
  assert.match(asked, /User: .*weather in Paris.*Assistant: .*snowy/i)
  const { tokens } = stage.model
  const used = await until('what the summary used is told', async () => {
    const usage = await service.usage('user-1')
    return usage.input_tokens === tokens.input && usage
  }, 10_000)
  assert.equal(used.output_tokens, tokens.output)
  for (const { at, until } of lines) assert.ok(at <= until, `${at} ${until}`)
  assertUnlogged(stage)
})

test('killed in mid-sentence, the agent leaves all but that sentence behind; the next one goes on', async () => {
  const { livekit, service, speech, worker } = stage
  const session = await service.start('user-2', 'workout', { transcript: true })
  const agent = await agentJoins(livekit, session.roomName)
  const joined = performance.now()
  const caller = await call(livekit, session.roomName, 'user-2', undefined, session.token)
  await caller.hearsSilence(await caller.hears(joined))
  const { endedAt } = await caller.say(await speech.speak('Please tell me a story.'))
  const began = await caller.hears(endedAt)
  await until('a sentence and some of the next', () => performance.now() > began + 7000)
  const killed = performance.now()
  process.kill(worker.pidOf(), 'SIGKILL')
  const heard = await speech.recognise(caller.recording(began - 100, killed))
  const whole = STORY.filter((sentence) => words(heard).join(' ').includes(words(sentence).slice(-2).join(' ')))
  assert.ok(whole.length >= 1 && whole.length < STORY.length, `heard: ${heard}`)

  const greeting = await until('the next agent is heard', () => caller.heard.find(({ from, level, at }) => from !== agent.identity && level > -45 && at > killed), 8000)
  await caller.hearsSilence(greeting.at)
  const { endedAt: asked } = await caller.say(await speech.speak(QUESTION))
  await caller.hearsSilence(await caller.hears(asked))
  await service.end('user-2', session.roomName)
  await caller.leave()

  const { state, lines } = await service.transcript('user-2')
  assert.deepEqual(lines.map(({ by }) => by), ['agent', 'user', 'agent', 'agent', 'user', 'tool', 'agent'])
  const rate = wordErrorRate(`Please tell me a story. ${QUESTION}`, `${lines[1]!.text} ${lines[4]!.text}`)
  console.log(`word error rate, the agent killed in between: ${rate}`)
  assert.ok(rate <= 0.1, `${lines[1]!.text} ${lines[4]!.text}`)
  const story = lines[2]!.text
  assert.ok(STORY.join(' ').startsWith(story), story)
  assert.ok(story.startsWith(whole.join(' ')), `${story} | heard: ${heard}`)
  assert.match(lines[6]!.text, /snowy in Paris/)
  assert.equal(state, 'writing', 'the first one never said that it is done')
  assertUnlogged(stage)
})

test('a call without a transcript is not written down', async () => {
  const { livekit, service } = stage
  const session = await service.start('user-3')
  const joined = performance.now()
  await agentJoins(livekit, session.roomName)
  const caller = await call(livekit, session.roomName, 'user-3', undefined, session.token)
  await caller.hearsSilence(await caller.hears(joined))
  await assert.rejects(service.transcript('user-3'), /transcript-not-found/)
  await service.end('user-3', session.roomName)
  await caller.leave()
})
