// Several providers for each part of a conversation: the next one is asked when one fails, the user is answered, and the metrics say which.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { ConfigError, loadConfig, type VoiceConfig } from '../src/config.ts'
import { createLogger } from '../src/log.ts'
import { createParts, createWrittenParts } from '../src/parts.ts'
import { call } from './support/caller.ts'
import { freePort, until } from './support/processes.ts'
import { agentJoins, startSession } from './support/session.ts'
import { startStage } from './support/stage.ts'

const base = { AGENT: 'voice', LIVEKIT_URL: 'ws://127.0.0.1:7880', LIVEKIT_API_KEY: 'key', LIVEKIT_API_SECRET: 'secret-of-at-least-32-characters-xx' }
const clouds = {
  stt: [{ provider: 'deepgram', api_key_env: 'DEEPGRAM_API_KEY', model: 'nova-3' }, { provider: 'livekit', model: 'deepgram/nova-3' }],
  llm: [{ provider: 'livekit', model: 'openai/gpt-4.1-mini' }, { provider: 'openai', base_url: 'http://127.0.0.1:1/v1', model: 'local' }],
  tts: [{ provider: 'elevenlabs', api_key_env: 'ELEVEN_API_KEY', model: 'eleven_flash_v2_5', voice: 'v' }, { provider: 'livekit', model: 'cartesia/sonic-3', voice: 'w' }]
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
  const serve = async (answer: RequestListener) => {
    const server = createServer(answer).listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => {
      server.close()
      server.closeAllConnections()
    })
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
  }
  const down = `http://127.0.0.1:${await freePort()}/v1`
  let asked = 0
  const hangs = await serve((request) => { if (request.method === 'POST') asked++ })
  const refuses = await serve((_request, response) => { response.writeHead(503).end() })
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
