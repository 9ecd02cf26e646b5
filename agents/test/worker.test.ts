// The worker, with the echo agent for its calls: what it refuses, how it survives crashes, how it ends.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startFaultProxy } from '../../dev/faults/fault-proxy.ts'
import { AGENT_TYPES } from '../src/metadata.ts'
import { call } from './support/caller.ts'
import { processesOf } from './support/job-processes.ts'
import { startLiveKit, type LiveKit } from './support/livekit.ts'
import { until } from './support/processes.ts'
import { activeAgents, agentJoins, dispatchAgain, startSession } from './support/session.ts'
import { startWatchdog } from './support/watchdog.ts'
import { startWorker, type RunningWorker } from './support/worker.ts'

let livekit: LiveKit
let watchdog: Awaited<ReturnType<typeof startWatchdog>>
let worker: RunningWorker

before(async () => {
  watchdog = await startWatchdog()
  livekit = await startLiveKit({ webhookUrl: watchdog.url })
  worker = await startWorker(['echo'], livekit.env)
})
after(async () => {
  await worker?.stop()
  await livekit?.stop()
  watchdog?.stop()
})

const warm = () => until('two idle processes', async () => (await worker.health()).idle_processes === 2)
const metrics = async () => (await fetch(`${worker.url}/metrics`)).text()
/** The job processes of the worker, whatever they do. */
const jobProcesses = () => processesOf(worker.child.pid!).filter(({ kind }) => kind === 'job').map(({ pid }) => pid)

test('is ready, alive, and counts', async () => {
  assert.deepEqual(await worker.health(), {
    agent: 'echo', agent_name: 'voice-agent', registered: true, draining: false, active_jobs: 0, idle_processes: 2, avatars: { starting: 0, ready: 0, failed: 0 }
  })
  assert.equal((await fetch(`${worker.url}/livez`)).status, 200)
  assert.equal((await fetch(`${worker.url}/readyz`)).status, 200)
  assert.deepEqual((await metrics()).match(/^agents_(active_jobs|idle_processes) .*/gm), ['agents_active_jobs 0', 'agents_idle_processes 2'])
  assert.equal((await fetch(`${worker.url}/nothing`)).status, 404)
})

test('its processes are kept small, each by the same settings', () => {
  const settings = jobProcesses().map((pid) => [
    /(?:^|\0)MALLOC_ARENA_MAX=(\d+)/.exec(readFileSync(`/proc/${pid}/environ`, 'utf8'))?.[1],
    readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').filter((argument) => argument.includes('semi-space'))
  ])
  assert.deepEqual(settings, [['2', ['--max-semi-space-size=2']], ['2', ['--max-semi-space-size=2']]])
})

test('refuses jobs that are not of our service\'s shape, saying why but not what', async () => {
  for (const more of [{ mode: 'video', agent_type: undefined }, { agent_type: 'chess' }, { extra: 'secret-value' }, { room_name: 'another' }, { dispatch: 0 }, { session_id: undefined }]) {
    const session = await startSession(livekit, more)
    await sleep(600)
    assert.deepEqual(await activeAgents(livekit, session.roomName), [])
    await livekit.rooms.deleteRoom(session.roomName)
  }
  const refused = worker.lines().filter(({ msg }) => msg === 'job refused')
  assert.equal(refused.length, 6)
  assert.ok(!worker.output().includes('secret-value'))
})

test('a second agent of the same name leaves without a sound', async () => {
  const session = await startSession(livekit)
  const first = await agentJoins(livekit, session.roomName)
  const caller = await call(livekit, session.roomName, 'user-1')
  await dispatchAgain(livekit, session)
  await until('the second one has left', () => worker.lines().some(({ msg }) => msg === 'another agent of this name is in the room, leaving'))
  await until('one is left', async () => (await activeAgents(livekit, session.roomName)).length === 1)
  assert.equal((await activeAgents(livekit, session.roomName))[0]!.identity, first.identity)
  assert.ok(!caller.others().some(({ identity, trackPublications }) => identity !== first.identity && trackPublications.size > 0))
  await caller.leave()
  await livekit.rooms.deleteRoom(session.roomName)
  await warm()
})

test('of two agents that come at once, one stays', async () => {
  const session = await startSession(livekit)
  await dispatchAgain(livekit, session)
  await until('both have come', () => worker.lines().filter(({ msg }) => msg === 'another agent of this name is in the room, leaving').length === 2)
  await until('one is left', async () => (await activeAgents(livekit, session.roomName)).length === 1)
  await sleep(500)
  assert.equal((await activeAgents(livekit, session.roomName)).length, 1)
  await livekit.rooms.deleteRoom(session.roomName)
  await warm()
})

test('a killed job leaves no ghost, and the watchdog\'s next agent is there within 3 seconds', async () => {
  const session = await startSession(livekit)
  const first = await agentJoins(livekit, session.roomName)
  const caller = await call(livekit, session.roomName, 'user-1')
  watchdog.watch(livekit, session)
  await warm()
  const killed = performance.now()
  process.kill(worker.pidOf(session), 'SIGKILL')
  await until('the ghost is gone', async () => !(await activeAgents(livekit, session.roomName)).some(({ identity }) => identity === first.identity), 5000)
  const gone = performance.now() - killed
  const second = await agentJoins(livekit, session.roomName, 5000)
  const back = performance.now() - killed
  console.log(`ghost gone after ${Math.round(gone)} ms, next agent ACTIVE after ${Math.round(back)} ms`)
  assert.notEqual(second.identity, first.identity)
  assert.ok(back < 3000)
  const crash = worker.lines().find(({ msg }) => msg === 'job process crashed')
  assert.equal(crash?.session_id, session.metadata.session_id)
  assert.match(await (await fetch(`${worker.url}/metrics`)).text(), /^agents_ghosts_removed_total\{result="removed"\} 1$/m)
  watchdog.unwatch()
  await caller.leave()
  await livekit.rooms.deleteRoom(session.roomName)
  await warm()
})

test('idle processes that are killed are replaced before a job comes: it is taken at once, by one dispatch', async () => {
  const killed = jobProcesses()
  assert.equal(killed.length, 2)
  for (const pid of killed) process.kill(pid, 'SIGKILL')
  const session = await startSession(livekit)
  await agentJoins(livekit, session.roomName, 5000)
  const taken = performance.now() - session.startedAt
  console.log(`agent ACTIVE ${Math.round(taken)} ms after the start, with every idle process killed`)
  assert.ok(taken < 3000)
  assert.ok(!killed.includes(worker.pidOf(session)))
  assert.equal((await livekit.dispatches.listDispatch(session.roomName)).length, 1)
  assert.deepEqual(worker.lines().filter(({ msg }) => msg === 'idle process ended, another takes its place').map(({ level, signal }) => ({ level, signal })), Array(2).fill({ level: 'error', signal: 'SIGKILL' }))

  await warm()
  assert.equal(jobProcesses().length, 3)
  assert.match(await metrics(), /^agents_idle_processes 2$/m)
  await livekit.rooms.deleteRoom(session.roomName)
  await until('the process of the call has ended', () => jobProcesses().length === 2)
  assert.equal((await worker.health()).idle_processes, 2)
})

test('a job given to a process in the moment of its death goes to the next one', async () => {
  const idle = jobProcesses()
  for (const pid of idle) process.kill(pid, 'SIGSTOP')
  const session = await startSession(livekit)
  await until('the job is given', async () => (await worker.health()).active_jobs === 1)
  for (const pid of idle) process.kill(pid, 'SIGKILL')
  await agentJoins(livekit, session.roomName, 5000)
  assert.ok(!idle.includes(worker.pidOf(session)))
  await livekit.rooms.deleteRoom(session.roomName)
  await until('the process of the call has ended', () => jobProcesses().length === 2)
  await warm()
})

test('the place of a short call is free when the call is over', async (t) => {
  const own = await startWorker(['echo'], { ...livekit.env, VOICE_AGENT_NAME: 'single', LIVEKIT_WORKER_NUM_IDLE: '1', MAX_JOBS: '1' })
  t.after(() => own.stop())
  for (let i = 0; i < 2; i++) {
    const session = await startSession(livekit, {}, 'single')
    await agentJoins(livekit, session.roomName, 3000)
    await livekit.rooms.deleteRoom(session.roomName)
    await until('the job has ended', async () => (await own.health()).active_jobs === 0)
    // LiveKit is told of the load every 2.5 s, and offers nothing to a worker that is full.
    await sleep(3000)
  }
})

test('ends its job when the user stays away', async (t) => {
  const own = await startWorker(['echo'], { ...livekit.env, VOICE_AGENT_NAME: 'short', DEPARTURE_TIMEOUT: '1', LIVEKIT_WORKER_NUM_IDLE: '1' })
  t.after(() => own.stop())
  const session = await startSession(livekit, {}, 'short')
  await until('the agent has settled', () => own.pidOf(session))
  const caller = await call(livekit, session.roomName, 'user-1')
  await until('the agent is heard', () => caller.heard.length > 20)
  await caller.leave()
  let there: string[] = []
  await until(() => `the agent has left, there are ${there.join(', ')}`, async () => {
    there = (await livekit.rooms.listParticipants(session.roomName)).map(({ identity }) => identity)
    return there.length === 0
  }, 15_000)
  await until('it says why', () => own.lines().some(({ msg }) => msg === 'nobody is here, leaving'))
})

test('SIGTERM between the acceptance of a job and its assignment: it has its agent', async (t) => {
  const { hostname, port } = new URL(livekit.url)
  const line = await startFaultProxy({ target: { host: hostname, port: Number(port) } })
  const own = await startWorker(['echo'], { ...livekit.env, LIVEKIT_API_URL: `ws://127.0.0.1:${line.port}`, VOICE_AGENT_NAME: 'leaving', LIVEKIT_WORKER_NUM_IDLE: '1' })
  t.after(async () => {
    await own.stop()
    await line.stop()
  })
  await line.fault({ delay: 1000 })
  const session = await startSession(livekit, {}, 'leaving')
  await until('it is accepted', () => own.lines().some(({ msg }) => msg === 'job accepted'))
  own.child.kill('SIGTERM')
  await until('draining', () => own.lines().some(({ msg }) => msg === 'draining'))
  await agentJoins(livekit, session.roomName, 15_000)
  await line.fault()
  await livekit.rooms.deleteRoom(session.roomName)
  assert.equal(await until('it ends', () => own.child.exitCode !== null && `exit code ${own.child.exitCode}`, 20_000), 'exit code 0')
})

test('SIGTERM when a job has just been given to a process that is slow to enter: it has its agent', async (t) => {
  const own = await startWorker(['echo'], { ...livekit.env, VOICE_AGENT_NAME: 'slow', LIVEKIT_WORKER_NUM_IDLE: '1' })
  t.after(() => own.stop())
  const [job] = processesOf(own.child.pid!).filter(({ kind }) => kind === 'job')
  process.kill(job!.pid, 'SIGSTOP')
  const session = await startSession(livekit, {}, 'slow')
  await until('it is accepted, and given away', async () => (await own.health()).active_jobs === 1)
  own.child.kill('SIGTERM')
  await until('draining', () => own.lines().some(({ msg }) => msg === 'draining'))
  await sleep(3000) // the idle processes have 2 s to stop, then they are ended
  process.kill(job!.pid, 'SIGCONT')
  await agentJoins(livekit, session.roomName)
  await livekit.rooms.deleteRoom(session.roomName)
  assert.equal(await until('it ends', () => own.child.exitCode !== null && `exit code ${own.child.exitCode}`, 20_000), 'exit code 0')
})

test('SIGTERM while it boots: it ends, and has not begun', async () => {
  // As soon as it listens for the signal at all.
  const early = "process.on('newListener', (name) => { if (name === 'SIGTERM') setImmediate(() => process.kill(process.pid, name)) })"
  const worker = await startWorker(['echo'], { ...livekit.env, NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(early)}` }, false)
  const [code] = await once(worker.child, 'exit')
  assert.equal(code, 0)
  assert.equal(worker.output(), '')
})

test('SIGTERM right after a job began: takes no more, the call goes on, then exit 0', async () => {
  const session = await startSession(livekit)
  await agentJoins(livekit, session.roomName)
  const caller = await call(livekit, session.roomName, 'user-1')
  worker.child.kill('SIGTERM')
  await until('draining', async () => (await worker.health()).draining)
  assert.equal((await fetch(`${worker.url}/readyz`)).status, 503)
  assert.equal((await fetch(`${worker.url}/livez`)).status, 200)

  const late = await startSession(livekit)
  await sleep(1500)
  assert.deepEqual(await activeAgents(livekit, late.roomName), [])
  assert.equal((await activeAgents(livekit, session.roomName)).length, 1)

  const closing = performance.now()
  await livekit.rooms.deleteRoom(session.roomName)
  assert.equal(await until('it ends', () => worker.child.exitCode !== null && `exit code ${worker.child.exitCode}`, 15_000), 'exit code 0')
  console.log(`exit ${Math.round(performance.now() - closing)} ms after the last call`)
  assert.ok(performance.now() - closing < 8000)
  await caller.leave()
})

test('a second SIGTERM ends the calls at once, without ghosts', async (t) => {
  const own = await startWorker(['echo'], { ...livekit.env, LIVEKIT_WORKER_NUM_IDLE: '1' })
  t.after(() => own.stop())
  const session = await startSession(livekit)
  await agentJoins(livekit, session.roomName)
  own.child.kill('SIGTERM')
  await until('draining', () => own.lines().some(({ msg }) => msg === 'draining'))
  own.child.kill('SIGTERM')
  await until('the agent has left', async () => (await activeAgents(livekit, session.roomName)).length === 0, 5000)
  assert.equal(await until('it ends', () => own.child.exitCode), 1)
})

test('when the main process is killed, its jobs leave their rooms at once', async (t) => {
  const own = await startWorker(['echo'], { ...livekit.env, LIVEKIT_WORKER_NUM_IDLE: '1' })
  t.after(() => own.stop())
  const session = await startSession(livekit)
  await agentJoins(livekit, session.roomName)
  own.child.kill('SIGKILL')
  const killed = performance.now()
  await until('the agent has left', async () => (await activeAgents(livekit, session.roomName)).length === 0, 5000)
  console.log(`agent gone ${Math.round(performance.now() - killed)} ms after its worker was killed`)
})

test('refuses to start, naming every missing variable', async () => {
  const own = await startWorker(['voice'], { LIVEKIT_URL: '', LIVEKIT_API_KEY: '', LIVEKIT_API_SECRET: '' }, false)
  assert.equal(await until('it ends', () => own.child.exitCode), 1)
  for (const name of ['LIVEKIT_URL', 'LIVEKIT_API_KEY', 'LIVEKIT_API_SECRET', 'STT_BASE_URL', 'LLM_BASE_URL', 'LLM_MODEL', 'TTS_BASE_URL']) {
    assert.ok(own.output().includes(`${name} is missing`), name)
  }
})

test('refuses to start without the prompts of its calls, naming each', async () => {
  const url = 'http://127.0.0.1:9/v1'
  const own = await startWorker(['voice'], { ...livekit.env, STT_BASE_URL: url, LLM_BASE_URL: url, LLM_MODEL: 'm', TTS_BASE_URL: url, PROMPTS_DIR: mkdtempSync(join(tmpdir(), 'prompts-')) }, false)
  assert.equal(await until('it ends', () => own.child.exitCode), 1)
  for (const name of [...AGENT_TYPES, 'shared']) assert.match(own.output(), new RegExp(`voice/${name}\\.md: ENOENT`))
})
