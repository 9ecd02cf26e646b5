// Calls that are not as usual, through the whole service: in writing, with a user who keeps silent, and by telephone.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { cpSync, mkdtempSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { call, type Caller } from './support/caller.ts'
import { until } from './support/processes.ts'
import { agentJoins, startSession } from './support/session.ts'
import { startWholeStage, type WholeStage } from './support/stage.ts'
import { startWorker } from './support/worker.ts'

const KEY = 'yKHwTnuS02UOi0fPEtWaY3TrCNH2kjylsNceb0gpXDs='

let stage: WholeStage
before(async () => {
  stage = await startWholeStage({
    env: { USER_SILENCE_ASK: '4', USER_SILENCE_END: '2' },
    serviceEnv: { TRANSCRIPTS: 'on', TRANSCRIPT_KEYS: KEY }
  })
})
after(async () => { await stage?.stop() })

const said = (caller: Caller, from: string) => caller.transcripts.filter((one) => one.from === from).map(({ text }) => text)

/** The service's record of the user's last session, and what happened in it. */
async function record (user: string) {
  const headers = { authorization: `Bearer ${stage.service.token(user)}` }
  const { sessions: [session] } = await (await fetch(`${stage.service.url}/api/v1/sessions?limit=1`, { headers })).json() as { sessions: Array<{ id: string }> }
  return await (await fetch(`${stage.service.url}/api/v1/sessions/${session!.id}`, { headers })).json() as Record<string, unknown> & { events: Array<{ type: string, data: Record<string, unknown> }> }
}

test('a conversation in writing: typed and answered, with a tool, a transcript with a summary and a record, and not a sound; silence ends it', async () => {
  const { livekit, service, mcp, model, speech } = stage
  const heardBefore = speech.output().length
  const session = await service.start('wanda', 'workout', { text_only: true, transcript: true, summary: true })
  const { identity: agent } = await agentJoins(livekit, session.roomName)
  const caller = await call(livekit, session.roomName, 'wanda', undefined, session.token, false)
  await until('the greeting', () => said(caller, agent).length === 1)
  await caller.room.localParticipant!.sendText('What is the weather in Paris?', { topic: 'lk.chat' })
  await until('the answer', () => said(caller, agent).length === 2)
  assert.match(said(caller, agent)[0]!, /workout coach/)
  assert.match(said(caller, agent)[1]!, /snowy in Paris/)
  assert.deepEqual(mcp.calls.map(({ tool }) => tool), ['get_weather'])
  assert.match(String(model.requests.at(-1)!.messages[0]!.content), /in writing/)

  // Nothing more is typed: asked, then told, then over.
  await until('the room is gone', async () => (await livekit.rooms.listRooms([session.roomName])).length === 0, 20_000)
  assert.deepEqual(said(caller, agent).slice(2).map((text) => text.split(/[?,]/)[0]), ['Are you still there', 'I have not heard from you for a while'])
  assert.deepEqual(caller.heard, [])
  assert.equal(speech.output().slice(heardBefore).match(/audio\/(speech|transcriptions)/g), null)
  await caller.leave()

  const over = await until('the end is on record', async () => {
    const found = await record('wanda')
    return found.state === 'ended' && found.end_reason === 'idle' && found
  })
  assert.deepEqual([over.text_only, over.agent_type], [true, 'workout'])
  assert.deepEqual(over.events.map(({ type }) => type).filter((type) => type !== 'transcript.ready').sort(),
    ['agent.joined', 'agent.left', 'participant.joined', 'participant.left', 'session.ended', 'session.started'])
  const { lines, summary } = await until('the transcript is ready', async () => {
    const transcript = await service.transcript('wanda')
    return transcript.state === 'ready' && transcript
  }, 20_000)
  assert.equal(summary, 'The user asked for the weather in Paris, which is snowy.')
  assert.deepEqual(lines.map(({ by }) => by).slice(0, 4), ['agent', 'user', 'tool', 'agent'])
  assert.equal(lines[1]!.text, 'What is the weather in Paris?')
  const asked = model.requests.findLast(({ messages }) => String(messages[0]!.content).startsWith('Summarise'))
  assert.match(String(asked?.messages[1]!.content), /User: What is the weather in Paris\?\nAssistant: It is snowy in Paris/)
})

test('who comes by telephone is heard, answered, and counted as the user', async () => {
  const { livekit, service, speech } = stage
  const session = await service.start('sibyl')
  await agentJoins(livekit, session.roomName)
  // As LiveKit's SIP bridge joins: a participant of kind SIP with an identity of its own.
  const joined = performance.now()
  const caller = await call(livekit, session.roomName, 'sip_+15550100', undefined, await livekit.telephoneToken(session.roomName, '+15550100'))
  await caller.hearsSilence(await caller.hears(joined))
  const { endedAt } = await caller.say(await speech.speak('What is the weather in Paris today?'))
  const sound = await caller.hears(endedAt)
  const end = await caller.hearsSilence(sound)
  assert.match((await speech.recognise(caller.recording(sound - 100, end + 300))).toLowerCase(), /snowy in paris/)
  const { body } = await service.status('sibyl', session.roomName)
  assert.deepEqual([body.agent_connected, (body as { participants?: number }).participants], [true, 2])

  await until('the silence has ended the call', async () => (await livekit.rooms.listRooms([session.roomName])).length === 0, 30_000)
  const over = await until('the end is on record', async () => {
    const found = await record('sibyl')
    return found.state === 'ended' && found.end_reason === 'idle' && found
  })
  assert.deepEqual(over.events.filter(({ type }) => type.startsWith('participant.')).map(({ type, data }) => [type, data.identity]),
    [['participant.joined', 'sip_+15550100'], ['participant.left', 'sip_+15550100']])
  await caller.leave()
})

test('prompts that are broken while calls go on cost a line in the log, also in processes that never saw them whole', async (t) => {
  const { livekit, env } = stage
  const folder = mkdtempSync(join(tmpdir(), 'prompts-'))
  cpSync(join(import.meta.dirname, '../prompts'), folder, { recursive: true })
  const own = await startWorker(['voice'], { ...env, VOICE_AGENT_NAME: 'broken', LIVEKIT_WORKER_NUM_IDLE: '1', PROMPTS_DIR: folder })
  t.after(() => own.stop())
  writeFileSync(join(folder, 'voice/workout.md'), '---\ngreeting: Hey there\n---\nBe quick.')
  // The third call has a process that begins when the file is broken.
  for (let i = 0; i < 3; i++) {
    const session = await startSession(livekit, { text_only: true }, 'broken')
    const { identity: agent } = await agentJoins(livekit, session.roomName)
    const caller = await call(livekit, session.roomName, 'user-1', undefined, undefined, false)
    await until('the greeting', () => said(caller, agent).length === 1)
    assert.equal(said(caller, agent)[0], 'Hey there')
    await livekit.rooms.deleteRoom(session.roomName)
    await caller.leave()
    writeFileSync(join(folder, 'voice/workout.md'), '')
  }
  const broken = own.lines().filter(({ level }) => level === 'error').map(({ msg, error }) => [msg, /voice.*/.exec((error as Error).message)?.[0]])
  assert.deepEqual(broken, Array(2).fill(['a prompt is broken, the one before is used', 'voice/workout.md: no instructions']))
})

test('a worker that is told to end its calls waits for their summaries and last lines, however slowly they come', async (t) => {
  const { livekit, env } = stage
  const bodies: string[] = []
  // The model and the service: the summary takes 6.5 s, to hand it over 4 s.
  const slow = createServer(async (request, response) => {
    const body = (await request.toArray()).join('')
    if (request.url === '/v1/chat/completions') {
      await sleep(6500)
      const chunk = { id: 'c', object: 'chat.completion.chunk', created: 0, model: 'm', choices: [{ index: 0, delta: { role: 'assistant', content: 'It was short.' }, finish_reason: 'stop' }] }
      return response.writeHead(200, { 'content-type': 'text/event-stream' }).end(`data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n`)
    }
    if (body.includes('It was short.')) await sleep(4000)
    if (!response.destroyed) bodies.push(body)
    response.end('{}')
  }).listen(0, '127.0.0.1')
  await once(slow, 'listening')
  const url = `http://127.0.0.1:${(slow.address() as AddressInfo).port}`
  const own = await startWorker(['voice'], { ...env, LLM_BASE_URL: `${url}/v1`, VOICE_AGENT_NAME: 'ending', LIVEKIT_WORKER_NUM_IDLE: '1' })
  t.after(async () => {
    await own.stop()
    slow.close()
    slow.closeAllConnections()
  })
  const service = { url, token: 'token' }
  const session = await startSession(livekit, { text_only: true, transcript: true, summary: true, service }, 'ending')
  await agentJoins(livekit, session.roomName)
  const caller = await call(livekit, session.roomName, 'user-1', undefined, undefined, false)
  await until('the greeting is on record', () => bodies.some((body) => body.includes('workout coach')))
  own.child.kill('SIGTERM')
  await until('draining', () => own.lines().some(({ msg }) => msg === 'draining'))
  own.child.kill('SIGTERM')
  assert.equal(await until('it ends', () => own.child.exitCode, 30_000), 1)
  assert.ok(bodies.some((body) => body.includes('It was short.')), 'the summary has been handed over')
  await caller.leave()
})
