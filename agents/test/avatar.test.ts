// The avatar agent with stand-ins for the two clouds: a face that speaks, and every way in which it may fail.
import { RoomEvent, TrackKind } from '@livekit/rtc-node'
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startBey } from './support/bey.ts'
import { call, type Caller } from './support/caller.ts'
import { startLiveKit, type LiveKit } from './support/livekit.ts'
import { startMcpServer, TOKEN } from './support/mcp-server.ts'
import { until } from './support/processes.ts'
import { startRealtime } from './support/realtime.ts'
import { activeAgents, agentJoins, startSession, type Session } from './support/session.ts'
import { startSpeech, type Speech } from './support/speech.ts'
import { startWorker, type RunningWorker } from './support/worker.ts'

const STORY = 'I would like to tell you about a student who was afraid of every test. She began to study with a friend, twenty minutes each day, and to sleep before the test. After some weeks the fear was smaller, and one morning it was gone.'

let livekit: LiveKit
let speech: Speech
let mcp: Awaited<ReturnType<typeof startMcpServer>>
let realtime: Awaited<ReturnType<typeof startRealtime>>
let bey: Awaited<ReturnType<typeof startBey>>
let env: Record<string, string>
let worker: RunningWorker
let next: 'weather' | 'story' = 'weather'

before(async () => {
  [livekit, speech, mcp, bey] = await Promise.all([startLiveKit(), startSpeech(), startMcpServer(), startBey('bey-key')])
  realtime = await startRealtime({
    apiKey: 'openai-key',
    speak: speech.speak,
    answer ({ instructions, toolOutput }) {
      if (toolOutput) return { text: toolOutput.replace(/^"|"$/g, '') }
      if (instructions?.includes('video has just failed')) return { text: 'I am sorry, my video has failed, but I am still here.' }
      if (instructions) return { text: 'Hello, I am glad that you are here. What is on your mind?' }
      return next === 'weather' ? { tool: 'get_weather', args: { city: 'Paris' } } : { text: STORY }
    }
  })
  env = {
    ...livekit.env,
    OPENAI_API_KEY: 'openai-key',
    REALTIME_BASE_URL: realtime.url,
    BEY_API_KEY: 'bey-key',
    BEY_AVATAR_ID: 'avatar-1',
    BEY_API_URL: bey.url,
    AVATAR_JOIN_TIMEOUT: '6',
    AVATAR_SILENCE_TIMEOUT: '3',
    MCP_TEST_TOKEN: TOKEN,
    MCP_CONFIG: JSON.stringify({ servers: [{ name: 'test', url: mcp.url, auth: { type: 'bearer', token_env: 'MCP_TEST_TOKEN' }, allow: { avatar: ['get_weather'] } }] })
  }
  worker = await startWorker(['avatar'], env)
})
after(async () => {
  await worker?.stop()
  await bey?.stop()
  realtime?.stop()
  await mcp?.kill()
  await Promise.all([speech?.stop(), livekit?.stop()])
})

const begin = (agentName = 'avatar-agent') => startSession(livekit, { mode: 'video', agent_type: undefined, counselor_category: 'Exams', system_prompt: 'SECRET-PROMPT: you help with exams.' }, agentName)
const state = async (session: Session) => (await activeAgents(livekit, session.roomName))[0]?.attributes.avatar
const becomes = (session: Session, wanted: string, limit = 10_000) => until(`the avatar is ${wanted}`, async () => (await state(session)) === wanted, limit)
const heardFrom = (caller: Caller, identity: string, time: number) => caller.heard.filter((frame) => frame.from === identity && frame.at > time && frame.level > -45)

test('shows a face that greets, uses a tool, is interrupted, and goes with the room', async (t) => {
  const session = await begin()
  const agent = await agentJoins(livekit, session.roomName)
  assert.equal(agent.attributes.avatar, 'starting')
  await becomes(session, 'ready')
  console.log(`avatar ready ${Math.round(performance.now() - session.startedAt)} ms after the start`)
  assert.deepEqual((await worker.health()).avatars, { starting: 0, ready: 1, failed: 0 })
  assert.deepEqual(bey.requests.at(-1), { avatar_id: 'avatar-1', livekit_url: livekit.url })

  const joined = performance.now()
  let pictures = 0
  const caller = await call(livekit, session.roomName, 'user-1', (room) => {
    room.on(RoomEvent.TrackSubscribed, (track) => { if (track.kind === TrackKind.KIND_VIDEO) pictures++ })
  })

  await t.test('greets, with the avatar\'s voice', async () => {
    const end = await caller.hearsSilence(await caller.hears(joined))
    assert.match((await speech.recognise(caller.recording(joined, end + 300))).toLowerCase(), /glad that you('| a)re here/)
    assert.equal(heardFrom(caller, agent.identity, joined).length, 0)
    assert.equal(pictures, 1)
  })

  await t.test('was given the prompt of its category', () => {
    assert.ok(realtime.events.some((event) => event.type === 'session.update' && event.session?.instructions?.includes('SECRET-PROMPT')))
    assert.ok(!worker.output().includes('SECRET-PROMPT'))
  })

  await t.test('answers with a tool', async () => {
    const { endedAt } = await caller.say(await speech.speak('What is the weather in Paris today?'))
    const sound = await caller.hears(endedAt)
    const end = await caller.hearsSilence(sound)
    assert.match((await speech.recognise(caller.recording(sound - 100, end + 300))).toLowerCase(), /snowy in paris/)
  })

  await t.test('falls silent when the user speaks', async () => {
    next = 'story'
    const { endedAt } = await caller.say(await speech.speak('Please tell me a story.'))
    const sound = await caller.hears(endedAt)
    await sleep(Math.max(0, sound + 2000 - performance.now()))
    const { startedAt } = await caller.say(await speech.speak('Wait a moment please.'))
    const silent = await caller.hearsSilence(startedAt, 300)
    console.log(`silent ${Math.round(silent - startedAt)} ms after the user began`)
    assert.ok(silent - startedAt < 2000)
  })

  await t.test('ends the avatar within 5 seconds of the room', async () => {
    const deleted = Date.now()
    await livekit.rooms.deleteRoom(session.roomName)
    const ended = await until('the avatar session has ended', () => Number(/session ended (\d+)/.exec(bey.avatars.at(-1)!.output())?.[1]))
    console.log(`avatar session ended ${ended - deleted} ms after the room`)
    assert.ok(ended - deleted < 5000)
    await until('the job has ended', async () => (await worker.health()).active_jobs === 0, 5000)
    await caller.leave()
  })
})

/** The agent answers a question with a tool, in its own voice. */
async function answersByVoice (caller: Caller, agent: string): Promise<void> {
  next = 'weather'
  const { endedAt } = await caller.say(await speech.speak('What is the weather in Paris today?'))
  const sound = await caller.hears(endedAt)
  const end = await caller.hearsSilence(sound)
  assert.match((await speech.recognise(caller.recording(sound - 100, end + 300))).toLowerCase(), /snowy in paris/)
  assert.ok(heardFrom(caller, agent, endedAt).length > 0)
  assert.equal(heardFrom(caller, 'bey-avatar-agent', endedAt).length, 0)
}

for (const [how, signal, limit] of [['dies', 'SIGKILL', 8000], ['hangs', 'SIGSTOP', 8000], ['leaves', 'SIGTERM', 3000]] as const) {
  test(`an avatar that ${how} in mid-sentence is noticed, the user is told, and the agent goes on by voice`, async (t) => {
    next = 'story'
    const session = await begin()
    const agent = await agentJoins(livekit, session.roomName)
    await becomes(session, 'ready')
    const joined = performance.now()
    const caller = await call(livekit, session.roomName, 'user-1')
    await caller.hearsSilence(await caller.hears(joined))
    const { endedAt } = await caller.say(await speech.speak('Please tell me a story.'))
    const sound = await caller.hears(endedAt)
    await sleep(Math.max(0, sound + 1500 - performance.now()))
    const face = bey.avatars.at(-1)!.child
    t.after(() => face.kill('SIGKILL'))
    face.kill(signal)
    const failed = performance.now()
    await becomes(session, 'failed', limit)
    console.log(`${how}: noticed after ${Math.round(performance.now() - failed)} ms`)
    const voice = await until('the agent itself speaks', () => heardFrom(caller, agent.identity, failed)[0], 8000)
    console.log(`${how}: own voice after ${Math.round(voice.at - failed)} ms`)
    const end = await caller.hearsSilence(voice.at)
    assert.match((await speech.recognise(caller.recording(voice.at - 100, end + 300))).toLowerCase(), /still here/)
    assert.ok(!caller.others().some(({ identity }) => identity === 'bey-avatar-agent'))
    await answersByVoice(caller, agent.identity)
    await livekit.rooms.deleteRoom(session.roomName)
    await caller.leave()
  })
}

test('an avatar that leaves while nobody speaks: nothing is said about it, the next answer comes by voice', async () => {
  const session = await begin()
  const agent = await agentJoins(livekit, session.roomName)
  await becomes(session, 'ready')
  const joined = performance.now()
  const caller = await call(livekit, session.roomName, 'user-1')
  const end = await caller.hearsSilence(await caller.hears(joined), 2000)
  bey.avatars.at(-1)!.child.kill('SIGTERM')
  await becomes(session, 'failed', 3000)
  await answersByVoice(caller, agent.identity)
  assert.deepEqual(heardFrom(caller, agent.identity, joined).filter(({ at }) => at < end + 1000), [])
  await livekit.rooms.deleteRoom(session.roomName)
  await caller.leave()
})

test('the model\'s connection is cut in mid-call: it is made again, and when it cannot be, the agent leaves for the service to send another', async () => {
  next = 'weather'
  const session = await begin()
  await becomes(session, 'ready')
  const joined = performance.now()
  const caller = await call(livekit, session.roomName, 'user-1')
  await caller.hearsSilence(await caller.hears(joined))
  const seen = realtime.events.length
  realtime.drop()
  await sleep(1000)
  const { endedAt } = await caller.say(await speech.speak('What is the weather in Paris today?'))
  const sound = await caller.hears(endedAt)
  const end = await caller.hearsSilence(sound)
  assert.match((await speech.recognise(caller.recording(sound - 100, end + 300))).toLowerCase(), /snowy in paris/)
  assert.ok(realtime.events.slice(seen).some(({ session }) => session?.instructions?.includes('SECRET-PROMPT')), 'it has its prompt again')

  realtime.drop(false)
  const dropped = performance.now()
  await until('the agent has left', async () => (await activeAgents(livekit, session.roomName)).length === 0, 30_000)
  console.log(`the agent left ${Math.round(performance.now() - dropped)} ms after the model went away`)
  const crashes = worker.lines().filter(({ level, session_id: id }) => level === 'error' && id === session.metadata.session_id)
  assert.deepEqual(crashes.map(({ msg }) => msg), ['job process crashed'])
  assert.match(String(crashes[0]!.reason), /Unexpected server response/)
  realtime.drop(true)
  await livekit.rooms.deleteRoom(session.roomName)
  await caller.leave()
})

test('an avatar whose user does not come goes with its agent, long before the room', async (t) => {
  const own = await startWorker(['avatar'], { ...env, VIDEO_AGENT_NAME: 'impatient', LIVEKIT_WORKER_NUM_IDLE: '1', USER_JOIN_TIMEOUT: '5' })
  t.after(() => own.stop())
  const session = await begin('impatient')
  await becomes(session, 'ready')
  const avatar = bey.avatars.at(-1)!
  await until('the agent has left', async () => (await activeAgents(livekit, session.roomName)).length === 0)
  await until('its avatar has gone too', () => avatar.output().includes('session ended'), 2000)
  assert.deepEqual(own.lines().filter(({ level, component }) => ['warn', 'error'].includes(String(level)) && component === undefined).map(({ msg }) => msg), [])
  assert.doesNotMatch(await (await fetch(`${own.url}/metrics`)).text(), /agents_avatar_changes_total{state="failed"}/)
  assert.deepEqual(await livekit.rooms.listParticipants(session.roomName), [])
  assert.equal((await livekit.rooms.listRooms([session.roomName])).length, 1)
  await livekit.rooms.deleteRoom(session.roomName)
})

for (const [name, behaviour, limit, late] of [
  ['refuses the key', { status: 401 }, 5000, false],
  ['answers 500', { status: 500 }, 5000, false],
  ['does not answer', { delay: 20_000 }, 8000, false],
  ['says yes, but no avatar comes', { absent: true }, 9000, false],
  ['says yes, and the avatar comes after its time', { late: 8000 }, 9000, true],
  ['does not answer, and the avatar comes all the same', { delay: 4000 }, 8000, true]
] as const) {
  test(`the avatar service ${name}: the state is failed, the voice is there and answers`, async () => {
    bey.behave(behaviour)
    const before = bey.avatars.length
    const session = await begin()
    const agent = await agentJoins(livekit, session.roomName)
    const joined = performance.now()
    const caller = await call(livekit, session.roomName, 'user-1')
    await becomes(session, 'failed', limit)
    console.log(`${name}: failed ${Math.round(performance.now() - session.startedAt)} ms after the start`)
    const greeting = await until('the agent itself speaks', () => heardFrom(caller, agent.identity, joined)[0], 8000)
    await caller.hearsSilence(greeting.at)
    if (late) {
      await until('the avatar comes', () => bey.avatars.length > before, 10_000)
      for (const avatar of bey.avatars.slice(before)) await until('it is sent away', () => avatar.output().includes('session ended'), 20_000)
    }
    await answersByVoice(caller, agent.identity)
    assert.ok(!caller.others().some(({ identity }) => identity === 'bey-avatar-agent'))
    await livekit.rooms.deleteRoom(session.roomName)
    await caller.leave()
    bey.behave({})
  })
}
