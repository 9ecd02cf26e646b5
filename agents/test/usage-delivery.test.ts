// How reports of what is used reach the service: while it is away, when it refuses them, and at the end of the call.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { Logger } from '../src/log.ts'
import { addTo, openUsage, type Totals } from '../src/usage.ts'
import { until } from './support/processes.ts'

const nothing: Totals = { stt_ms: 0, tts_ms: 0, input_tokens: 0, output_tokens: 0, tool_calls: 0 }

/** The service's side, with answers that a test gives. */
async function startReceiver (t: { after (work: () => void): void }, answer: (n: number) => number | undefined) {
  const bodies: Array<Totals & { writer: string, seq: number }> = []
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    bodies.push(JSON.parse(text))
    const status = answer(bodies.length)
    if (status) response.writeHead(status).end('{}')
    else response.destroy()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  const warnings: object[] = []
  const log = { warn: (fields: object) => warnings.push(fields) } as unknown as Logger
  return { bodies, warnings, usage: openUsage({ url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`), token: 'token' }, log) }
}

test('a service that is away gets all of it with the next report, and the last one at the end', async (t) => {
  const { bodies, warnings, usage } = await startReceiver(t, (n) => n === 1 ? undefined : n === 2 ? 503 : 200)
  usage.put({ ...nothing, input_tokens: 1 })
  await until('the first try', () => bodies.length === 1)
  usage.put({ ...nothing, input_tokens: 5, tool_calls: 1 })
  await until('it is told', () => bodies.length === 3)
  usage.put({ ...nothing, input_tokens: 9, tool_calls: 1 })
  await usage.close()
  assert.deepEqual(bodies.map(({ input_tokens: tokens }) => tokens), [1, 5, 5, 9])
  assert.deepEqual(bodies.map(({ seq }) => seq), [0, 1, 2, 3])
  assert.equal(new Set(bodies.map(({ writer }) => writer)).size, 1)
  assert.equal(warnings.length, 1)
})

test('a service that takes no more is left alone', async (t) => {
  const { bodies, warnings, usage } = await startReceiver(t, () => 404)
  usage.put({ ...nothing, tool_calls: 1 })
  await until('it was refused', () => warnings.length === 1)
  usage.put({ ...nothing, tool_calls: 2 })
  await usage.close()
  assert.equal(bodies.length, 1)
  assert.deepEqual(warnings, [{ status: 404, what: 'usage' }])
})

test('nothing used, nothing told', async (t) => {
  const { bodies, usage } = await startReceiver(t, () => 200)
  await usage.close()
  assert.equal(bodies.length, 0)
})

test('what requests took is added up', () => {
  const totals = { ...nothing }
  const speech = { type: 'tts_metrics', label: 'tts', requestId: 'r', timestamp: 0, ttfbMs: 1, durationMs: 1, cancelled: false, charactersCount: 5 } as const
  assert.equal(addTo(totals, { ...speech, audioDurationMs: 700, streamed: false }), true)
  assert.equal(addTo(totals, { ...speech, audioDurationMs: 300, streamed: true }), true)
  assert.equal(addTo(totals, { type: 'stt_metrics', label: 'stt', requestId: 'r', timestamp: 0, durationMs: 9, audioDurationMs: 1200.4, streamed: false }), true)
  const tokens = { audioTokens: 0, textTokens: 0, imageTokens: 0 }
  addTo(totals, { type: 'llm_metrics', label: 'llm', requestId: 'r', timestamp: 0, durationMs: 1, ttftMs: 1, cancelled: false, completionTokens: 3, promptTokens: 40, promptCachedTokens: 0, totalTokens: 43, tokensPerSecond: 1 })
  addTo(totals, { type: 'realtime_model_metrics', label: 'r', requestId: 'r', timestamp: 0, durationMs: 1, ttftMs: 1, cancelled: false, inputTokens: 10, outputTokens: 20, totalTokens: 30, tokensPerSecond: 1, inputTokenDetails: { ...tokens, cachedTokens: 0 }, outputTokenDetails: tokens })
  assert.deepEqual(totals, { stt_ms: 1200, tts_ms: 1000, input_tokens: 50, output_tokens: 23, tool_calls: 0 })
})
