// The echo agent on a real LiveKit server: joins, says back what it hears, goes when the room goes.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { call, RATE } from './support/caller.ts'
import { startLiveKit, type LiveKit } from './support/livekit.ts'
import { until } from './support/processes.ts'
import { agentJoins, startSession } from './support/session.ts'
import { startWorker, type RunningWorker } from './support/worker.ts'

let livekit: LiveKit
let worker: RunningWorker

before(async () => {
  livekit = await startLiveKit()
  worker = await startWorker(['echo'], livekit.env)
})
after(async () => {
  await worker?.stop()
  await livekit?.stop()
})

/** A click: 20 ms of a 1 kHz tone. */
const click = Int16Array.from({ length: RATE / 50 }, (_, i) => Math.round(Math.sin(i * 2 * Math.PI * 1000 / RATE) * 12_000))

test('says back what it hears within a second', async () => {
  const session = await startSession(livekit)
  await agentJoins(livekit, session.roomName)
  const caller = await call(livekit, session.roomName, 'user-1')
  await until('the echo is heard at all', () => caller.heard.length > 100)

  const delays: number[] = []
  for (let i = 0; i < 5; i++) {
    const { startedAt } = await caller.say(click)
    const { at } = await until('the click comes back', () => caller.heard.find(({ at, level }) => at > startedAt && level > -40), 3000)
    delays.push(at - startedAt)
    await new Promise((resolve) => setTimeout(resolve, 300))
  }
  delays.sort((a, b) => a - b)
  console.log(`echo delay ms, sorted: ${delays.map(Math.round).join(' ')}`)
  assert.ok(delays[2]! < 1000, `median delay ${delays[2]}`)

  const line = await until('the level is logged', () => worker.lines().find(({ msg }) => msg === 'echoing'))
  assert.equal(line.session_id, session.metadata.session_id)
  assert.equal(line.request_id, session.metadata.request_id)
  assert.ok(Number(line.level_dbfs) > -40)

  assert.equal((await worker.health()).active_jobs, 1)
  await livekit.rooms.deleteRoom(session.roomName)
  await until('the job ends with its room', async () => (await worker.health()).active_jobs === 0)
  await caller.leave()
})

test('says back as much of a text as it says back at all, without waiting for its end', async () => {
  const session = await startSession(livekit)
  const { identity } = await agentJoins(livekit, session.roomName)
  const caller = await call(livekit, session.roomName, 'user-1')
  await until('it takes texts', () => caller.room.remoteParticipants.get(identity)?.attributes['lk.agent.state'] === 'listening')
  await until('the echo is heard at all', () => caller.heard.length > 100) // the caller's connection is whole: what is sent before may be lost
  const endless = await caller.room.localParticipant!.streamText({ topic: 'lk.chat' })
  await endless.write('x'.repeat(3000))
  assert.equal(await until('it is said back', () => caller.transcripts[0]?.text, 5000), 'x'.repeat(2000))
  await livekit.rooms.deleteRoom(session.roomName)
  await caller.leave()
})
