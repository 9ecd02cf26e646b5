// What the servers of a conversation may take: silence before and within an answer has a limit, and an interruption is no failure.
import { llm } from '@livekit/agents'
import assert from 'node:assert/strict'
import type { RequestListener } from 'node:http'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { VoiceConfig } from '../src/config.ts'
import { createLogger } from '../src/log.ts'
import { createModel, createParts, impatient } from '../src/parts.ts'
import { startLanguageModel, weatherScript } from './support/language-model.ts'
import { until } from './support/processes.ts'
import { serve } from './support/serve.ts'

createLogger('silent', {})
setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

test('a server that never answers is given up, also when garbage is collected meanwhile', async (t) => {
  const url = await serve(t, () => {})
  const asked = assert.rejects(impatient(url, undefined, 200), { name: 'TimeoutError' })
  await sleep(50)
  collectGarbage()
  await asked
})

test('a server that falls silent within its answer is given up', async (t) => {
  const url = await serve(t, (_request, response) => { response.write('a piece') })
  const response = await impatient(url, { signal: new AbortController().signal }, 200)
  const read = assert.rejects(response.text(), { name: 'TimeoutError' })
  await sleep(50)
  collectGarbage()
  await read
})

test('a server that is slow, but goes on, is heard to the end', async (t) => {
  const url = await serve(t, async (_request, response) => {
    for (let i = 0; i < 5; i++) {
      await sleep(120)
      response.write(`${i}`)
    }
    response.end()
  })
  const response = await impatient(url, undefined, 200)
  assert.equal(response.status, 200)
  assert.equal(await response.text(), '01234')
})

test('an interruption while speech is being made is no failure of the speech server', async (t) => {
  const requests: string[] = []
  const url = `${await serve(t, ({ url }) => { requests.push(url!) })}/v1`
  const one = [{ provider: 'openai' as const, base_url: url, api_key: 'none', model: 'm', voice: 'alloy' }]
  const { tts, connOptions } = await createParts({ STT_LANGUAGE: 'en', providers: { stt: one, llm: one, tts: one } } as VoiceConfig, { onDeaf: () => assert.fail('deaf') })
  const errors: unknown[] = []
  tts.on('error', (error) => errors.push(error))
  const interruption = new AbortController()
  const speech = tts.synthesize('Hello.', connOptions.ttsConnOptions, interruption.signal)
  const heard = speech[Symbol.asyncIterator]().next()
  await until('speech is asked for', () => requests.length > 0)
  interruption.abort()
  assert.equal((await heard).done, true)
  assert.deepEqual(errors, [])
})

/** LiveKit's inference first, then a server that answers. @returns what comes of a question, and the kinds of errors that the conversation is told of. */
async function askInTurn (t: TestContext, first: RequestListener): Promise<{ text: string, errors: string[] }> {
  Object.assign(process.env, { LIVEKIT_API_KEY: 'key', LIVEKIT_API_SECRET: 'secret-of-at-least-32-characters-xx' })
  const second = await startLanguageModel(weatherScript)
  t.after(() => second.stop())
  const model = createModel({
    providers: {
      llm: [{ provider: 'livekit', base_url: `${await serve(t, first)}/v1`, api_key: 'none', model: 'm' }, { provider: 'openai', base_url: second.env.LLM_BASE_URL, api_key: 'none', model: 'm' }]
    }
  } as VoiceConfig)
  const errors: string[] = []
  model.on('error', ({ type }) => errors.push(type))
  const chatCtx = new llm.ChatContext()
  chatCtx.addMessage({ role: 'user', content: 'Hello?' })
  const { text } = await model.chat({ chatCtx, connOptions: { maxRetry: 0, retryIntervalMs: 0, timeoutMs: 60_000 } }).collect()
  return { text, errors }
}

test('LiveKit\'s inference is held to the limits too: when it never answers, the next one does', { timeout: 30_000 }, async (t) => {
  assert.deepEqual(await askInTurn(t, () => {}), { text: 'I am listening.', errors: [] })
})

test('and when it falls silent within its answer, that is told', { timeout: 30_000 }, async (t) => {
  const chunk = { id: 'c', object: 'chat.completion.chunk', created: 0, model: 'm', choices: [{ index: 0, delta: { role: 'assistant', content: 'Well' }, finish_reason: null }] }
  const answer = await askInTurn(t, (_request, response) => { response.writeHead(200, { 'content-type': 'text/event-stream' }).write(`data: ${JSON.stringify(chunk)}\n\n`) })
  assert.deepEqual(answer, { text: 'Well', errors: ['llm_error'] })
})
