// An agent whose user does not come: it leaves long before the room closes, and the service sends another when he comes after all.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { call } from './support/caller.ts'
import { startLiveKit, type LiveKit } from './support/livekit.ts'
import { freePort, until } from './support/processes.ts'
import { startService, webhookUrl, type Service } from './support/service.ts'
import { activeAgents, agentJoins } from './support/session.ts'
import { startWorker, type RunningWorker } from './support/worker.ts'

const WAIT = 2

let livekit: LiveKit
let service: Service
let worker: RunningWorker
before(async () => {
  const port = await freePort()
  livekit = await startLiveKit({ webhookUrl: webhookUrl(port) })
  service = await startService(livekit, port)
  worker = await startWorker(['echo'], { ...livekit.env, USER_JOIN_TIMEOUT: String(WAIT) })
})
after(async () => {
  await worker?.stop()
  await service?.stop()
  await livekit?.stop()
})

test('the place of an agent that waits in vain is free again, and its user is not left alone', async () => {
  const late = await service.start('user-1')
  const first = await agentJoins(livekit, late.roomName)
  const joined = performance.now()
  await until('the agent has left', async () => (await activeAgents(livekit, late.roomName)).length === 0, 10_000)
  const waited = performance.now() - joined
  assert.ok(waited > WAIT * 1000 - 500 && waited < WAIT * 1000 + 2000, `left after ${waited} ms`)
  assert.equal((await livekit.rooms.listRooms([late.roomName])).length, 1, 'the room waits on')
  await until('its place is free', async () => (await worker.health()).active_jobs === 0)

  // The service has heard of it, and sends nobody into an empty room.
  await until('the service knows', async () => (await service.status('user-1', late.roomName)).body.agent_connected === false)
  await sleep(1500)
  assert.equal((await livekit.dispatches.listDispatch(late.roomName)).length, 1)

  const came = performance.now()
  const caller = await call(livekit, late.roomName, 'user-1', undefined, late.token)
  const second = await agentJoins(livekit, late.roomName, 5000)
  console.log(`the user came after all: agent ACTIVE ${Math.round(performance.now() - came)} ms later`)
  assert.notEqual(second.identity, first.identity)
  await until('it is heard', () => caller.heard.length > 20)
  await service.end('user-1', late.roomName)
  await caller.leave()
})
