// The summary of a conversation: what the model is asked, and that a model that fails costs the summary and nothing else.
import { initializeLogger, llm, type metrics } from '@livekit/agents'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VoiceConfig } from '../src/config.ts'
import type { Logger } from '../src/log.ts'
import { createModel } from '../src/parts.ts'
import { summarise } from '../src/summary.ts'
import { startLanguageModel, weatherScript } from './support/language-model.ts'

initializeLogger({ pretty: false, level: 'silent' })

const asking = (url: string) => ({ providers: { llm: [{ provider: 'openai', base_url: url, api_key: 'none', model: 'm' }] } }) as unknown as VoiceConfig

function conversation (): llm.ChatContext {
  const said = new llm.ChatContext()
  said.addMessage({ role: 'system', content: 'You are a workout coach.' })
  said.addMessage({ role: 'user', content: 'What is the weather in Paris?' })
  said.addMessage({ role: 'assistant', content: 'It is snowy.' })
  return said
}

test('the model is given what was said, and not what it was told to be; what it uses is measured', async (t) => {
  const scripted = await startLanguageModel(weatherScript)
  t.after(() => scripted.stop())
  const measured: metrics.AgentMetrics[] = []
  const model = createModel(asking(scripted.env.LLM_BASE_URL), (one) => measured.push(one))
  assert.equal(await summarise(model, conversation(), {} as Logger), 'The user asked for the weather in Paris, which is snowy.')
  assert.deepEqual(scripted.requests[0]!.messages.slice(1), [{ role: 'user', content: 'User: What is the weather in Paris?\nAssistant: It is snowy.' }])
  assert.deepEqual(scripted.requests[0]!.tools, [])
  const [used] = measured as metrics.LLMMetrics[]
  assert.deepEqual([measured.length, used!.promptTokens, used!.completionTokens], [1, scripted.tokens.input, scripted.tokens.output])
  assert.equal(await summarise(model, new llm.ChatContext(), {} as Logger), undefined, 'of nothing there is none')
  assert.equal(scripted.requests.length, 1)
})

test('a model that fails leaves no summary, and a line in the log without what was said', async () => {
  const model = createModel(asking('http://127.0.0.1:9/v1'))
  const warnings: unknown[] = []
  const log = { warn: (...line: unknown[]) => warnings.push(line) } as unknown as Logger
  assert.equal(await summarise(model, conversation(), log), undefined)
  assert.equal(warnings.length, 1)
  assert.doesNotMatch(JSON.stringify(warnings), /weather|snowy/)
})
