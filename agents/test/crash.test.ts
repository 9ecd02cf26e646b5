// Crash to greeting: the voice agent's process is killed in mid-call; worker, LiveKit and the service's watchdog together bring the next one.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { call } from './support/caller.ts'
import { until } from './support/processes.ts'
import { agentJoins } from './support/session.ts'
import { startWholeStage, type WholeStage } from './support/stage.ts'

let stage: WholeStage
before(async () => { stage = await startWholeStage() })
after(async () => { await stage?.stop() })

test('a caller whose agent is killed is greeted again within 3 seconds', async () => {
  const { livekit, service, speech, worker } = stage
  const session = await service.start('user-1')
  const agent = await agentJoins(livekit, session.roomName)
  const joined = performance.now()
  const caller = await call(livekit, session.roomName, 'user-1', undefined, session.token)
  await caller.hearsSilence(await caller.hears(joined))
  await until('a warm process', async () => (await worker.health()).idle_processes > 0)
  const { endedAt } = await caller.say(await speech.speak('Please tell me a story.'))
  await caller.hears(endedAt)
  assert.equal((await service.status('user-1', session.roomName)).body.agent_connected, true)

  const killed = performance.now()
  process.kill(worker.pidOf(), 'SIGKILL')
  const greeting = await until(() => `the next agent is heard\n${service.log()}`, () => caller.heard.find(({ from, level, at }) => from !== agent.identity && level > -45 && at > killed), 8000)
  console.log(`greeted again ${Math.round(greeting.at - killed)} ms after the kill`)
  assert.ok(greeting.at - killed < 3000)
  const end = await caller.hearsSilence(greeting.at)
  assert.match((await speech.recognise(caller.recording(greeting.at - 100, end + 300))).toLowerCase(), /workout coach/)
  assert.ok(!(await livekit.rooms.listParticipants(session.roomName)).some(({ identity }) => identity === agent.identity), 'no ghost')
  await service.end('user-1', session.roomName)
  await caller.leave()
})
