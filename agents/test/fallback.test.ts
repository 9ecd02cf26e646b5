// Several providers for each part of a conversation: the next one is asked when one fails, the user is answered, the metrics say which, and each request is counted once.
import { initializeLogger, llm as models, tokenize, tts as voices } from '@livekit/agents'
import { AudioFrame } from '@livekit/rtc-node'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { WebSocketServer } from 'ws'
import { ConfigError, loadConfig, type VoiceConfig } from '../src/config.ts'
import { createLogger } from '../src/log.ts'
import { createParts, createWrittenParts } from '../src/parts.ts'
import type { EagerRecognition } from '../src/recognition.ts'
import { addTo } from '../src/usage.ts'
import { call } from './support/caller.ts'
import { startLanguageModel, weatherScript } from './support/language-model.ts'
import { freePort, until } from './support/processes.ts'
import { serve } from './support/serve.ts'
import { agentJoins, startSession } from './support/session.ts'
import { startStage } from './support/stage.ts'

const base = { AGENT: 'voice', LIVEKIT_URL: 'ws://127.0.0.1:7880', LIVEKIT_API_KEY: 'key', LIVEKIT_API_SECRET: 'secret-of-at-least-32-characters-xx' }
const clouds = {
  stt: [{ provider: 'deepgram', api_key_env: 'DEEPGRAM_API_KEY', model: 'nova-3' }, { provider: 'livekit', model: 'deepgram/nova-3' }],
  llm: [{ provider: 'livekit', model: 'openai/gpt-4.1-mini' }, { provider: 'openai', base_url: 'http://127.0.0.1:1/v1', model: 'local' }],
  tts: [{ provider: 'elevenlabs', api_key_env: 'ELEVEN_API_KEY', model: 'eleven_flash_v2_5', voice: 'v' }, { provider: 'livekit', model: 'cartesia/sonic-3', voice: 'w' }]
}

/** A server of OpenAI's interface. */
const serveApi = async (t: TestContext, answer: RequestListener) => `${await serve(t, answer)}/v1`

/** Of LiveKit's inference the voice: for each text one second of sound. */
async function serveVoice (t: TestContext): Promise<string> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  server.on('connection', (socket) => socket.on('message', (raw) => {
    const send = (event: object) => socket.send(JSON.stringify({ session_id: 's', ...event }))
    const { type } = JSON.parse(String(raw)) as { type: string }
    if (type === 'session.create') send({ type: 'session.created' })
    if (type !== 'session.flush') return
    send({ type: 'output_audio', audio: Buffer.alloc(2 * 16_000).toString('base64') })
    send({ type: 'done' })
  }))
  await once(server, 'listening')
  t.after(() => {
    for (const socket of server.clients) socket.terminate()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
}

test('the clouds by name: read, their keys looked up, and made into parts that stream', async (t) => {
  Object.assign(process.env, { LIVEKIT_API_KEY: base.LIVEKIT_API_KEY, LIVEKIT_API_SECRET: base.LIVEKIT_API_SECRET })
  createLogger('silent', {})
  const config = loadConfig({ ...base, PROVIDERS: JSON.stringify(clouds), DEEPGRAM_API_KEY: 'dg', ELEVEN_API_KEY: 'el' }) as VoiceConfig
  assert.deepEqual(config.providers.stt, [{ provider: 'deepgram', api_key: 'dg', model: 'nova-3' }, { provider: 'livekit', api_key: 'none', model: 'deepgram/nova-3' }])
  const { stt, llm, tts } = await createParts(config, { onDeaf () {} }, { language: 'de-AT' })
  t.after(() => Promise.all([stt.close(), tts.close()]))
  assert.deepEqual([stt.capabilities.streaming, tts.capabilities.streaming, llm.label()], [true, true, 'FallbackAdapter'])
  assert.deepEqual(Object.keys(createWrittenParts(config)), ['llm', 'connOptions'])
})

test('what is wrong with PROVIDERS is named, never a key', () => {
  const problems = (PROVIDERS: unknown, more = {}) => {
    try {
      loadConfig({ ...base, PROVIDERS: typeof PROVIDERS === 'string' ? PROVIDERS : JSON.stringify(PROVIDERS), ...more })
    } catch (error) {
      assert.ok(error instanceof ConfigError)
      return error.problems
    }
    return []
  }
  const all = { DEEPGRAM_API_KEY: 'dg', ELEVEN_API_KEY: 'el' }
  assert.deepEqual(problems(clouds, all), [])
  assert.match(problems(clouds, { ...all, DEEPGRAM_API_KEY: '' })[0]!, /stt by deepgram needs the variable DEEPGRAM_API_KEY, which is missing or empty/)
  assert.match(problems(clouds, { ...all, ELEVEN_API_KEY: 'replace-me' })[0]!, /ELEVEN_API_KEY, which is a placeholder/)
  assert.match(problems({ stt: [{ provider: 'nobody' }] })[0]!, /PROVIDERS stt\.0\.provider/)
  assert.match(problems('{')[0]!, /neither JSON nor/)
  assert.deepEqual(problems({ llm: clouds.llm }), ['STT_BASE_URL is missing', 'TTS_BASE_URL is missing'])
})

test('the first recogniser is down, the first model hangs, the first voice answers 503: the user is greeted and answered by the second ones', async (t) => {
  const down = `http://127.0.0.1:${await freePort()}/v1`
  let asked = 0
  const hangs = await serveApi(t, (request) => { if (request.method === 'POST') asked++ })
  const refuses = await serveApi(t, (_request, response) => { response.writeHead(503).end() })
  const list = (first: string, second: string, key: string, more: object) => [first, second].map((url) => ({ provider: 'openai', base_url: url, api_key_env: key, ...more }))
  const env: Record<string, string> = {}
  const stage = await startStage({
    env,
    async through (urls) {
      env.PROVIDERS = JSON.stringify({
        stt: list(down, urls.STT_BASE_URL!, 'STT_API_KEY', { model: 'whisper-1' }),
        llm: list(hangs, urls.LLM_BASE_URL!, 'STT_API_KEY', { model: 'scripted' }),
        tts: list(refuses, urls.TTS_BASE_URL!, 'TTS_API_KEY', { model: 'tts-1', voice: 'alloy' })
      })
      return {}
    }
  })
  t.after(() => stage.stop())
  const { livekit, speech, worker } = stage
  const session = await startSession(livekit)
  const { identity: agent } = await agentJoins(livekit, session.roomName)
  const joined = performance.now()
  const caller = await call(livekit, session.roomName, 'user-1')
  t.after(() => caller.leave())
  const greeted = await caller.hears(joined)
  await caller.hearsSilence(greeted)

  for (const [turn, limit] of [['first', 20_000], ['second', 20_000]] as const) {
    const before = caller.transcripts.length
    const { endedAt } = await caller.say(await speech.speak('What is the weather in Paris today?'))
    const sound = await caller.hears(endedAt, limit)
    console.log(`${turn} answer after ${Math.round(sound - endedAt)} ms`)
    await until('the answer', () => caller.transcripts.slice(before).some(({ from, text }) => from === agent && /snowy in Paris/.test(text)), limit)
    await caller.hearsSilence(sound)
  }
  assert.ok(asked > 0)
  const metrics = await (await fetch(`${worker.url}/metrics`)).text()
  for (const part of ['stt', 'llm', 'tts']) assert.match(metrics, new RegExp(`agents_failovers_total\\{part="${part}",provider="1 openai",to="next"\\} 1$`, 'm'))
  assert.doesNotMatch(metrics, /^agents_failures_total\{.*\} [1-9]/m, 'nobody was told that something went wrong')
  assert.deepEqual(worker.lines().filter(({ msg }) => msg === 'a provider failed, the next one is asked').map(({ part }) => part).sort(), ['llm', 'stt', 'tts'])
})

for (const voice of ['a voice that streams', 'one that does not']) {
  test(`what several providers take is counted once, as they do themselves, with ${voice}`, async (t) => {
    initializeLogger({ pretty: false, level: 'silent' })
    Object.assign(process.env, { LIVEKIT_API_KEY: base.LIVEKIT_API_KEY, LIVEKIT_API_SECRET: base.LIVEKIT_API_SECRET })
    const model = await startLanguageModel(weatherScript)
    t.after(() => model.stop())
    let spoken = 0
    const refuses = await serveApi(t, (_request, response) => { response.writeHead(503).end() })
    const works = await serveApi(t, (request, response) => {
      request.resume()
      if (request.url === '/v1/audio/transcriptions') return response.writeHead(200, { 'content-type': 'application/json' }).end('{"text":"hello"}')
      spoken++
      response.end(Buffer.alloc(2 * 24_000))
    })
    const list = (second: string) => [refuses, second].map((url) => ({ provider: 'openai', base_url: url, api_key_env: 'KEY', model: 'm', voice: 'alloy' }))
    const streams = voice === 'a voice that streams'
    const PROVIDERS = JSON.stringify({
      stt: list(works),
      llm: list(model.env.LLM_BASE_URL),
      tts: streams ? [{ provider: 'livekit', base_url: await serveVoice(t), model: 'cartesia/sonic-3', voice: 'v' }, ...list(works)] : list(works).reverse()
    })
    const totals = { stt_ms: 0, tts_ms: 0, input_tokens: 0, output_tokens: 0, tool_calls: 0 }
    const { stt, llm, tts, connOptions } = await createParts(loadConfig({ ...base, PROVIDERS, KEY: 'none' }) as VoiceConfig, { onDeaf () {} }, {}, (measured) => addTo(totals, measured))
    t.after(() => Promise.all([stt.close(), tts.close()]))

    await (stt as EagerRecognition).inner.recognize([new AudioFrame(new Int16Array(16_000), 16_000, 1, 16_000)])
    const chatCtx = new models.ChatContext()
    chatCtx.addMessage({ role: 'user', content: 'Tell me a story.' })
    await llm.chat({ chatCtx, connOptions: connOptions.llmConnOptions }).collect()
    // As the framework does it.
    const speech = (streams ? tts : new voices.StreamAdapter(tts, new tokenize.basic.SentenceTokenizer())).stream({ connOptions: connOptions.ttsConnOptions })
    speech.pushText('The first sentence of it is this one. And this is the second one of them.')
    speech.endInput()
    while (!(await speech.next()).done);

    assert.equal(spoken, streams ? 0 : 2)
    const used = { stt_ms: 1000, tts_ms: streams ? 1000 : 2000, input_tokens: model.tokens.input, output_tokens: model.tokens.output, tool_calls: 0 }
    await until('all of it is measured', () => Object.entries(used).every(([what, amount]) => totals[what as keyof typeof totals] >= amount))
    assert.deepEqual(totals, used)
  })
}
