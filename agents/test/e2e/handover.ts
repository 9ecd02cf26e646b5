// A call by telephone is handed over to a person: the real service, agent and LiveKit, with a stand-in of LiveKit SIP on LiveKit's own bus. `npm run prove:handover`
// takes a redis-server. The telephone network behind it was not run: that a REFER reaches a person is LiveKit SIP's.
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { startSip, type StandInSip } from '../../../dev/livekit/sip.ts'
import { call } from '../support/caller.ts'
import { weatherScript } from '../support/language-model.ts'
import { freePort, until } from '../support/processes.ts'
import { agentJoins } from '../support/session.ts'
import { FOLDER } from '../support/speech.ts'
import { startWholeStage, type WholeStage } from '../support/stage.ts'

const KEY = 'yKHwTnuS02UOi0fPEtWaY3TrCNH2kjylsNceb0gpXDs='

let redis: ChildProcess
let sip: StandInSip
let stage: WholeStage
before(async () => {
  const port = await freePort()
  redis = spawn('redis-server', ['--port', String(port), '--save', '', '--bind', '127.0.0.1'], { stdio: 'ignore' })
  redis.once('error', () => { console.error('This takes a Redis: install redis-server.') })
  await until('Redis listens', () => new Promise<boolean>((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  }))
  const prompts = mkdtempSync(join(tmpdir(), 'prompts-'))
  cpSync(join(FOLDER, 'prompts'), prompts, { recursive: true })
  const file = join(prompts, 'voice/shared.md')
  writeFileSync(file, readFileSync(file, 'utf8').replace('---\n', '---\nhand_over: tel:+15550199\n'))
  sip = await startSip({ redisUrl: `redis://127.0.0.1:${port}` })
  stage = await startWholeStage({
    script: (request, last) => last.role === 'tool' && /handed over/.test(last.text)
      ? { text: 'I am sorry, nobody answers. Can I help you?' }
      : last.role === 'user' && /person/i.test(last.text) ? { tool: 'hand_over', args: {} } : weatherScript(request, last),
    env: { PROMPTS_DIR: prompts },
    livekit: { config: { redis: { address: `127.0.0.1:${port}` } } },
    serviceEnv: { TRANSCRIPTS: 'on', TRANSCRIPT_KEYS: KEY }
  })
})
after(async () => {
  await stage?.stop()
  sip?.stop()
  redis?.kill()
})

/** A user whose call comes by telephone, when the greeting is over. */
async function begin (user: string) {
  const { livekit, service } = stage
  const session = await service.start(user, 'workout', { transcript: true })
  const { identity: agent } = await agentJoins(livekit, session.roomName)
  const joined = performance.now()
  const caller = await call(livekit, session.roomName, user, undefined, await livekit.telephoneToken(session.roomName, '+15550100', `SCL_${user}`))
  await caller.hearsSilence(await caller.hears(joined))
  const said = () => caller.transcripts.filter(({ from }) => from === agent).map(({ text }) => text)
  const ask = async (text: string) => caller.say(await stage.speech.speak(text))
  return { session, caller, said, ask }
}

test('the person answers: the caller is with them, the agent hangs up, and the session is over', async () => {
  const { livekit, service } = stage
  const { session, caller, ask } = await begin('ada')
  // As LiveKit SIP does when the person has answered: its participant goes.
  await sip.hasCall('SCL_ada', async () => {
    setTimeout(() => { caller.leave() }, 50)
    return 'answered'
  })
  const { endedAt } = await ask('Can I talk to a person, please?')
  await until('the room is gone', async () => (await livekit.rooms.listRooms([session.roomName])).length === 0, 20_000)
  console.log(`the room is gone ${Math.round(performance.now() - endedAt)} ms after the wish was said`)
  assert.deepEqual(sip.asked, [{ callId: 'SCL_ada', to: 'tel:+15550199', dialtone: true }])
  const headers = { authorization: `Bearer ${service.token('ada')}` }
  const { state, end_reason: reason } = await until('the end is on record', async () => {
    const { sessions: [last] } = await (await fetch(`${service.url}/api/v1/sessions?limit=1`, { headers })).json() as { sessions: Array<{ state: string, end_reason: string }> }
    return last?.state === 'ended' && last
  })
  assert.deepEqual([state, reason], ['ended', 'agent'])
  const { lines } = await service.transcript('ada')
  assert.deepEqual(lines.map(({ by, text }) => by === 'tool' ? text : by), ['agent', 'user', 'hand_over'])
})

test('the person does not answer: the user is told, and the conversation goes on', async () => {
  const { service, speech } = stage
  const { session, caller, said, ask } = await begin('bea')
  await sip.hasCall('SCL_bea', async () => 'refused')
  await ask('Can I talk to a person, please?')
  await until('the user is told', () => said().some((text) => /nobody answers/.test(text)), 20_000)
  await caller.hearsSilence(performance.now())
  const { endedAt } = await ask('What is the weather in Paris today?')
  const sound = await caller.hears(endedAt)
  const end = await caller.hearsSilence(sound)
  assert.match(await speech.recognise(caller.recording(sound - 100, end + 300)), /snowy in paris/i)
  await service.end('bea', session.roomName)
  await caller.leave()
})
