// Calls by telephone, with a participant of kind SIP as LiveKit's bridge joins: keys both ways, and a hand-over that cannot be; off where nothing allows it.
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { call, type Caller } from './support/caller.ts'
import { weatherScript, type Script } from './support/language-model.ts'
import { until } from './support/processes.ts'
import { agentJoins, startSession } from './support/session.ts'
import { FOLDER } from './support/speech.ts'
import { startStage, type Stage } from './support/stage.ts'

/** Presses 1 and # when the user has pressed 4, 2 and #; hands over when a person is asked for; repeats what a tool says. */
const script: Script = (request, last) => {
  if (last.role === 'tool') return { text: last.text }
  if (last.text.includes('4 2 #')) return { tool: 'send_dtmf_events', args: { events: ['1', '#'] } }
  if (last.text.includes('person')) return { tool: 'hand_over', args: {} }
  return weatherScript(request, last)
}

let stage: Stage
before(async () => {
  const prompts = mkdtempSync(join(tmpdir(), 'prompts-'))
  cpSync(join(FOLDER, 'prompts'), prompts, { recursive: true })
  const file = join(prompts, 'voice/workout.md')
  writeFileSync(file, readFileSync(file, 'utf8').replace('---\n', '---\npress_keys: on\nhand_over: tel:+15550199\n'))
  stage = await startStage({ script, env: { PROMPTS_DIR: prompts } })
})
after(async () => { await stage?.stop() })

/** A call of an agent type, by telephone or not, when the greeting is over; and the keys that the caller is sent. */
async function begin (agentType: string, byTelephone: boolean) {
  const { livekit } = stage
  const session = await startSession(livekit, { agent_type: agentType })
  const { identity: agent } = await agentJoins(livekit, session.roomName)
  const pressed: string[] = []
  const listen: Parameters<typeof call>[3] = (room) => { room.on('dtmfReceived' as never, ((_code: number, digit: string) => pressed.push(digit)) as never) }
  const caller = await call(livekit, session.roomName, 'user-1', listen, byTelephone ? await livekit.telephoneToken(session.roomName, '+15550100') : undefined)
  const said = () => caller.transcripts.filter(({ from }) => from === agent).map(({ text }) => text)
  await until('the greeting', () => said().length > 0, 20_000)
  const asked = stage.model.requests.length
  return {
    session,
    caller,
    pressed,
    said,
    /** What the user said, or pressed, as the model was told; and the tools it was offered. */
    heard: () => stage.model.requests.slice(asked).map(({ messages }) => messages.at(-1)!).filter(({ role }) => role === 'user').map(({ content }) => String(content)),
    tools: () => stage.model.requests.at(-1)!.tools.toSorted(),
    type: (text: string) => caller.room.localParticipant!.sendText(text, { topic: 'lk.chat' }),
    async end () {
      await livekit.rooms.deleteRoom(session.roomName)
      await caller.leave()
    }
  }
}

async function press (caller: Caller, keys: string): Promise<void> {
  for (const key of keys) await caller.room.localParticipant!.publishDtmf(key === '#' ? 11 : key === '*' ? 10 : Number(key), key)
}

test('keys that the caller presses reach the model as one input, and the agent presses keys', async () => {
  const { caller, pressed, heard, tools, end } = await begin('workout', true)
  await press(caller, '42#')
  await until('the agent has pressed its keys', () => pressed.length === 2)
  assert.deepEqual(pressed, ['1', '#'])
  assert.deepEqual(heard(), ['(The user pressed these keys of the telephone: 4 2 #)'])
  assert.deepEqual(tools(), ['end_call', 'get_weather', 'hand_over', 'send_dtmf_events'])
  await end()
})

test('a call that cannot be handed over goes on: the user is told, one line is logged', async () => {
  const { session, said, type, end } = await begin('workout', true)
  await type('Please give me a person.')
  await until('the user is told', () => said().some((text) => text.includes('The call could not be handed over')), 20_000)
  const warnings = stage.worker.lines().filter(({ level, component, session_id: id }) => level === 'warn' && component === undefined && id === session.metadata.session_id)
  assert.deepEqual(warnings.map(({ msg }) => msg), ['the call could not be handed over'])
  await type('What is the weather in Paris?')
  await until('the answer', () => said().some((text) => text.includes('snowy in Paris')), 15_000)
  await end()
})

test('who does not call by telephone is not handed over, and what they send as keys reaches nobody', async () => {
  const { caller, said, heard, type, end } = await begin('workout', false)
  await press(caller, '42#')
  await type('Please give me a person.')
  await until('the user is told', () => said().some((text) => text.includes('does not call by telephone')), 15_000)
  await type('What is the weather in Paris?')
  await until('the answer', () => said().some((text) => text.includes('snowy in Paris')), 15_000)
  assert.deepEqual(heard(), ['Please give me a person.', 'What is the weather in Paris?'])
  await end()
})

test('an agent type whose prompt does not allow it has neither', async () => {
  const { caller, said, heard, tools, type, end } = await begin('diet', true)
  await press(caller, '42#')
  await type('Are you there?')
  await until('the answer', () => said().some((text) => text.includes('I am listening')), 15_000)
  assert.deepEqual(heard(), ['Are you there?'])
  assert.deepEqual(tools(), ['end_call'])
  await end()
})
