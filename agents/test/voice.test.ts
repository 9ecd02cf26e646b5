// The voice agent in real calls: greeting, tool answer, interruption, return, hanging up, and what its log may not say.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { call } from './support/caller.ts'
import { WEATHER } from './support/mcp-server.ts'
import { until } from './support/processes.ts'
import { agentJoins, activeAgents, startSession } from './support/session.ts'
import { startStage, type Stage } from './support/stage.ts'

let stage: Stage

before(async () => { stage = await startStage() })
after(async () => { await stage?.stop() })

test('greets, answers a spoken question with a tool, is there when the user returns, and hangs up after a goodbye', async (t) => {
  const { livekit, speech, worker } = stage
  const session = await startSession(livekit)
  const agent = await agentJoins(livekit, session.roomName)
  assert.equal(agent.name, 'Assistant')
  const joined = performance.now()
  let caller = await call(livekit, session.roomName, 'user-1')

  await t.test('greets', async () => {
    const end = await caller.hearsSilence(await caller.hears(joined))
    assert.match((await speech.recognise(caller.recording(joined, end + 300))).toLowerCase(), /workout coach/)
  })

  const question = await speech.speak('What is the weather in Paris today?')
  await t.test('answers with what the tool said', async () => {
    const { endedAt } = await caller.say(question)
    const sound = await caller.hears(endedAt)
    const end = await caller.hearsSilence(sound)
    console.log(`answer after ${Math.round(sound - endedAt)} ms`)
    const heard = (await speech.recognise(caller.recording(sound - 100, end + 300))).toLowerCase()
    assert.match(heard, /snowy in paris/)
    assert.deepEqual(stage.mcp.calls.map(({ tool, args }) => ({ tool, args })), [{ tool: 'get_weather', args: { city: 'Paris' } }])
  })

  await t.test('is there when the user returns', async () => {
    await caller.leave()
    await sleep(2000)
    caller = await call(livekit, session.roomName, 'user-1')
    assert.equal((await activeAgents(livekit, session.roomName))[0]!.identity, agent.identity)
    await sleep(700)
    const { endedAt } = await caller.say(question)
    const sound = await caller.hears(endedAt)
    const end = await caller.hearsSilence(sound)
    assert.match((await speech.recognise(caller.recording(sound - 100, end + 300))).toLowerCase(), /snowy in paris/)
  })

  await t.test('hangs up after a goodbye, and says so by its attribute', async () => {
    const ended: string[] = []
    caller.room.on('participantAttributesChanged' as never, ((changed: Record<string, string>) => { if (changed['session.end']) ended.push(changed['session.end']) }) as never)
    await caller.say(await speech.speak('Thank you, goodbye.'))
    await until('the room is gone', async () => (await livekit.rooms.listRooms([session.roomName])).length === 0, 15_000)
    assert.deepEqual(ended, ['agent'])
    await until('the job ends', async () => (await worker.health()).active_jobs === 0)
    await caller.leave()
  })

  await t.test('logs the session, never what was said', () => {
    const lines = worker.lines()
    const ready = lines.find(({ msg }) => msg === 'conversation ready')
    assert.equal(ready?.session_id, session.metadata.session_id)
    assert.equal(ready?.request_id, session.metadata.request_id)
    assert.ok(lines.some(({ msg, tool }) => msg === 'MCP tool called' && tool === 'get_weather'))
    for (const secret of ['weather in paris', 'snowy', 'workout coach', 'read aloud', WEATHER, 'mcp-secret-token', livekit.apiSecret, 'lk.pii']) {
      assert.ok(!worker.output().toLowerCase().includes(secret.toLowerCase()), `the log says "${secret}"`)
    }
  })

  await t.test('counts answers and tool calls', async () => {
    const metrics = (await (await fetch(`${worker.url}/metrics`)).text()).split('\n')
    assert.ok(metrics.includes('agents_tool_calls_total{server="test",outcome="ok"} 2'))
    assert.ok(metrics.includes('agents_jobs_total{outcome="ended"} 1'))
    assert.ok(metrics.some((line) => /^agents_answer_seconds_count [1-9]/.test(line)))
  })
})
