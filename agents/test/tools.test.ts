// MCP servers that misbehave in a real call: each costs its answer and one log line, the conversation goes on.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { call, type Caller } from './support/caller.ts'
import { processesOf } from './support/job-processes.ts'
import type { Script } from './support/language-model.ts'
import { until } from './support/processes.ts'
import { agentJoins, startSession } from './support/session.ts'
import { startStage, type Stage } from './support/stage.ts'

const SORRY = 'I am sorry, I cannot do that right now.'

/** The user names the tool; the model calls it and repeats what came of it. */
const script: Script = (_request, { role, text }) => {
  if (role === 'tool') return { text: /not available|error/i.test(text) ? SORRY : `It says: ${text.slice(0, 60)}` }
  if (text.startsWith('use ')) return { tool: text.slice(4), args: text.includes('weather') ? { city: 'Paris' } : {} }
  return { text: 'I am listening.' }
}

let stage: Stage
let caller: Caller
let agent: string
let job: number

before(async () => {
  stage = await startStage({ script, tools: ['slow', 'garbage', 'huge', 'failing'], mcp: { call_timeout: 3000 } })
  const session = await startSession(stage.livekit)
  agent = (await agentJoins(stage.livekit, session.roomName)).identity
  const joined = performance.now()
  caller = await call(stage.livekit, session.roomName, 'user-1')
  await caller.hears(joined)
  job = stage.worker.pidOf(session)
  await until('the greeting is over', () => caller.transcripts.length > 0)
})
after(async () => {
  await caller?.leave()
  await stage?.stop()
})

/** Sends a text, waits for the answer as it is spoken. */
async function ask (text: string): Promise<{ answer: string, warnings: string[] }> {
  const [before, lines] = [caller.transcripts.length, stage.worker.lines().length]
  await caller.room.localParticipant!.sendText(text, { topic: 'lk.chat' })
  const said = () => caller.transcripts.slice(before).filter(({ from, text }) => from === agent && !text.startsWith('One moment'))
  await until(`the answer to "${text}"`, () => said().length > 0, 15_000)
  const warnings = stage.worker.lines().slice(lines).filter(({ level, component }) => level === 'warn' && component === undefined)
  return { answer: said().map(({ text }) => text).join(' '), warnings: warnings.map(({ msg, reason }) => `${msg}: ${reason}`) }
}

test('a tool that works', async () => {
  assert.match((await ask('use get_weather')).answer, /snowy in Paris/)
})

test('a slow tool: the agent says that it is on it, then that it cannot', async () => {
  const { answer, warnings } = await ask('use slow')
  assert.equal(answer, SORRY)
  assert.deepEqual(warnings, ['MCP tool not available: timeout'])
  assert.ok(caller.transcripts.some(({ text }) => text.startsWith('One moment')))
})

test('garbage is not read aloud', async () => {
  const { answer, warnings } = await ask('use garbage')
  assert.match(answer, /image left out/)
  assert.deepEqual(warnings, [])
})

test('10 MB reach neither the model nor the memory', async () => {
  const memory = () => processesOf(stage.worker.child.pid!).find(({ pid }) => pid === job)!.rssMb
  const before = memory()
  const { answer, warnings } = await ask('use huge')
  console.log(`memory of the job: ${before} MB before, ${memory()} MB after 10 MB`)
  assert.equal(answer, SORRY)
  assert.deepEqual(warnings, ['MCP tool not available: response too large'])
  assert.ok(stage.model.requests.at(-1)!.bytes < 50_000)
  assert.ok(memory() - before < 100)
})

test('a tool that fails by itself: its words reach the model, not the log', async () => {
  const { answer, warnings } = await ask('use failing')
  assert.equal(answer, 'It says: The log is locked.')
  assert.deepEqual(warnings, [])
  assert.deepEqual(stage.worker.lines().filter((line) => line.tool === 'failing' || line.function === 'failing').map(({ level, msg }) => ({ level, msg })), [{ level: 'info', msg: 'MCP tool answered with an error' }])
  assert.ok(!stage.worker.output().includes('The log is locked'))
})

test('an unlisted tool is not called', async () => {
  const { answer } = await ask('use unlisted')
  assert.ok(answer.length > 0)
  assert.ok(!stage.mcp.calls.some(({ tool }) => tool === 'unlisted'))
})

test('a server killed in mid-call, and back again', async () => {
  const asked = ask('use slow')
  await until('the call has reached the server', () => stage.mcp.calls.filter(({ tool }) => tool === 'slow').length === 2)
  await stage.mcp.kill()
  const { answer, warnings } = await asked
  assert.equal(answer, SORRY)
  assert.equal(warnings.length, 1)
  await stage.mcp.restart()
  assert.match((await ask('use get_weather')).answer, /snowy in Paris/)
})
