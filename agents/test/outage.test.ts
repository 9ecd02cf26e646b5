// The parts of a voice agent fail in mid-call, each in the ways servers fail: the user is told, nothing is silent, and the same agent goes on when the part is back.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startFaultProxy, type Fault, type FaultProxy } from '../../dev/faults/fault-proxy.ts'
import { call, type Caller } from './support/caller.ts'
import { until } from './support/processes.ts'
import { activeAgents, agentJoins, startSession, type Session } from './support/session.ts'
import { startStage, type Stage } from './support/stage.ts'

// What is heard is recognised, too, and "I am sorry" may become "I am story": the rest of the sentence is as telling.
const SORRY = /(sorry|something went wrong).*(again|a moment)/

let stage: Stage
let parts: Record<'STT' | 'LLM' | 'TTS', FaultProxy>
let session: Session
let caller: Caller
let agent: string
let question: Int16Array

before(async () => {
  stage = await startStage({
    async through (urls) {
      const proxies = await Promise.all(Object.entries(urls).map(async ([name, url]) => [name, await startFaultProxy({ target: { host: '127.0.0.1', port: Number(new URL(url).port) } })] as const))
      parts = Object.fromEntries(proxies.map(([name, proxy]) => [name.slice(0, 3), proxy])) as typeof parts
      return Object.fromEntries(proxies.map(([name, proxy]) => [name, `${proxy.url}/v1`]))
    }
  })
  question = await stage.speech.speak('What is the weather in Paris today?')
  session = await startSession(stage.livekit)
  agent = (await agentJoins(stage.livekit, session.roomName)).identity
  const joined = performance.now()
  caller = await call(stage.livekit, session.roomName, 'user-1')
  await caller.hearsSilence(await caller.hears(joined))
})
after(async () => {
  await caller?.leave()
  await stage?.stop()
  await Promise.all(Object.values(parts ?? {}).map((proxy) => proxy.stop()))
})

/** Asks by voice: what is heard in answer, and after how long. */
async function ask (): Promise<{ answer: string, ms: number }> {
  const { endedAt } = await caller.say(question)
  const sound = await caller.hears(endedAt, 25_000)
  const end = await caller.hearsSilence(sound)
  return { answer: (await stage.speech.recognise(caller.recording(sound - 100, end + 300))).toLowerCase(), ms: Math.round(sound - endedAt) }
}

const failures = (from: number) => stage.worker.lines().slice(from).filter(({ msg }) => msg === 'a part of the conversation failed').map(({ part, reason }) => `${part}: ${reason}`)
/** Failures, and what else the log complains about; that the loop was held up is said of the machine, which the tests share. */
const problems = (from: number) => stage.worker.lines().slice(from).filter(({ level, msg }) => level !== 'info' && !msg.startsWith('event loop blocked')).map(({ part, reason, msg }) => part ? `${part}: ${reason}` : String(msg))

const FAULTS: Record<string, Fault> = {
  'is down': 'refuse',
  'answers 503': { respond: 'HTTP/1.1 503 Service Unavailable\n\n' },
  'answers 401': { respond: 'HTTP/1.1 401 Unauthorized\n\n' },
  hangs: 'hang'
}

/** One fault for each part, or with OUTAGES=all every fault for each (`npm run prove:outages`, four minutes). */
const chosen = (usual: string) => Object.entries(FAULTS).filter(([how]) => process.env.OUTAGES === 'all' || how === usual)

const agentStays = async () => assert.equal((await activeAgents(stage.livekit, session.roomName))[0]!.identity, agent)

for (const [name, part, usual] of [['speech recognition', 'STT', 'is down'], ['the language model', 'LLM', 'answers 503']] as const) {
  for (const [how, fault] of chosen(usual)) {
    test(`${name} ${how}: the agent says so, and answers when it is back`, async () => {
      const lines = stage.worker.lines().length
      await parts[part].fault(fault)
      const { answer, ms } = await ask()
      await parts[part].fault()
      console.log(`${name} ${how}: told after ${ms} ms; ${problems(lines)}`)
      assert.match(answer, SORRY)
      assert.deepEqual(problems(lines).map((line) => line.replace(/: .*/, '')), [part.toLowerCase()])
      assert.match((await ask()).answer, /snowy in paris/)
      await agentStays()
    })
  }
}

for (const [how, fault] of chosen('hangs')) {
  test(`the speech server ${how}: the conversation goes on when it is back`, async () => {
    const lines = stage.worker.lines().length
    await parts.TTS.fault(fault)
    await caller.say(question)
    await until('it fails', () => failures(lines).length > 0, 20_000)
    await parts.TTS.fault()
    console.log(`the speech server ${how}: ${problems(lines)}`)
    assert.equal(failures(lines).length, 1)
    assert.match((await ask()).answer, /snowy in paris/)
    await agentStays()
  })
}

test('a speech server that stays away: the agent, which cannot even say so, leaves, and the service may send another', async () => {
  await parts.TTS.fault(FAULTS['answers 401'])
  const gone = async () => (await activeAgents(stage.livekit, session.roomName)).length === 0
  for (let turns = 0; !await gone(); turns++) {
    assert.ok(turns < 4, 'it left after the fourth turn')
    const lines = stage.worker.lines().length
    await caller.room.localParticipant!.sendText('What is the weather in Paris today?', { topic: 'lk.chat' })
    await until('it fails', () => failures(lines).length > 0)
    await until('it leaves', gone, 1500).catch(() => {})
  }
  assert.match(await (await fetch(`${stage.worker.url}/metrics`)).text(), /^agents_failures_total\{part="tts"\} [1-9]/m)
})
