// Conversations with the real agent, judged by code: the scripts of evaluations/conversations/, and others that break each rule, which the judge must see.
// EVALUATIONS=all holds the spoken ones too; with LLM_BASE_URL (and LLM_MODEL, LLM_API_KEY) a real language model answers.
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { CONVERSATIONS, LOGS, startEvaluations, type Conversation, type Held } from './evaluations/conversation.ts'
import interrupted, { STORY } from './evaluations/conversations/interrupted.ts'
import twoUsers from './evaluations/conversations/two-users.ts'
import weather from './evaluations/conversations/weather.ts'
import { judge } from './evaluations/judge.ts'

let evaluations: Awaited<ReturnType<typeof startEvaluations>>
before(async () => { evaluations = await startEvaluations() })
after(async () => { await evaluations?.stop() })

const scripts: Conversation[] = (await Promise.all(readdirSync(CONVERSATIONS).map(async (file) => Object.values(await import(join(CONVERSATIONS, file)) as Record<string, Conversation>)))).flat()
  .filter((one) => one?.turns && (!one.spoken || process.env.EVALUATIONS === 'all'))

for (const conversation of scripts) {
  test(conversation.name, async () => {
    for (const held of await evaluations.hold(conversation)) assert.deepEqual(judge(conversation, held), [], JSON.stringify(held.turns))
  })
}

const isScripted = !process.env.LLM_BASE_URL

/** A conversation whose model does what it must not. */
const broken: Array<[what: string, conversation: Conversation, seen: RegExp]> = [
  ['another tool', { ...weather, model: (_request, { role }) => role === 'tool' ? { text: 'It is snowy, minus four degrees. You are welcome.' } : { tool: 'get_log', args: {} } }, /^turn 1: tools get_log, not weather_now$/],
  ['a tool twice', { ...weather, model: ({ messages }, last) => messages.filter(({ role }) => role === 'tool').length === 1 && last.role === 'tool' ? { tool: 'weather_now', args: { city: 'Paris' } } : weather.model({} as never, last) }, /^turn 1: tools weather_now, weather_now, not weather_now$/],
  ['other arguments', { ...weather, model: (request, last) => last.role === 'user' && /weather/.test(last.text) ? { tool: 'weather_now', args: { city: 'London' } } : weather.model(request, last) }, /^turn 1: weather_now with {"city":"London"}, not {"city":"Paris"}$/],
  ['other words', { ...weather, model: (request, last) => last.role === 'tool' ? { text: 'It is sunny.' } : weather.model(request, last) }, /^turn 1: does not say \/snowy\/i: "It is sunny\."$/],
  ['words it must not say', { ...weather, model: (request, last) => /Thank you/.test(last.text) ? { text: 'You are welcome, it is snowy.' } : weather.model(request, last) }, /^turn 2: says \/snowy\/i/],
  ['the story from its beginning', { ...interrupted, model: (request, last) => /go on/.test(last.text) ? { text: STORY.join(' ') } : interrupted.model(request, last) }, /^turn 3: repeats " once upon a time there "$/],
  ['its instructions', { ...weather, model: ({ messages }, last) => /Thank you/.test(last.text) ? { text: `You are welcome. I was told: ${String(messages[0]?.content).slice(0, 120)}` } : weather.model({} as never, last) }, /^said: has the prompt " you are a workout coach you "$/],
  ['a token', { ...weather, model: (request, last) => last.role === 'tool' ? { text: `It is snowy, minus four degrees. ${[...evaluations.tokens].at(-1)}` } : weather.model(request, last) }, /^said: has a token$/],
  ['what belongs to another user', { ...twoUsers, model: (request, last) => last.role === 'tool' ? { text: Object.values(LOGS).join(' ') } : twoUsers.model(request, last) }, /^said: has "(Oslo|Lisbon)" of another user$/]
]

for (const [what, conversation, seen] of isScripted ? broken : []) {
  test(`the judge sees ${what}`, async () => {
    for (const held of await evaluations.hold(conversation)) {
      const found = judge(conversation, held)
      assert.ok(found.some((line) => seen.test(line)), `${JSON.stringify(found)} in ${JSON.stringify(held.turns)}`)
    }
  })
}

test('the judge sees what is in a log, or was given to the model', async () => {
  const [held] = await evaluations.hold(weather) as [Held]
  assert.deepEqual(judge(weather, held), [])
  const token = [...evaluations.tokens].at(-1)!
  const logged = (line: string) => judge(weather, { ...held, logs: { ...held.logs, worker: `${held.logs.worker}{"msg":"${line}"}` } })
  assert.deepEqual(logged('it is snowy in Paris, with minus four degrees'), ['log of the worker: has " it is snowy in paris "'])
  assert.deepEqual(logged(weather.turns[0]!.user), ['log of the worker: has " what is the weather in "'])
  assert.deepEqual(logged(`authorization: ${token}`), ['log of the worker: has a token'])
  assert.deepEqual(judge(weather, { ...held, model: `${held.model} ${token}` }), ['model: was given a token'])
  assert.deepEqual(judge(weather, { ...held, transcript: `${held.transcript}\n${token}` }), ['transcript: has a token'])
})
