// Everything a spoken conversation needs, started together: LiveKit, the service, speech, language model, MCP server, voice worker.
import { weatherScript, startLanguageModel, type Script } from './language-model.ts'
import { startLiveKit } from './livekit.ts'
import { startMcpServer, TOKEN } from './mcp-server.ts'
import { freePort } from './processes.ts'
import { startService, webhookUrl } from './service.ts'
import { startSpeech } from './speech.ts'
import { startWorker } from './worker.ts'

export interface StageOptions {
  script?: Script
  /** More tools for the workout type than get_weather. */
  tools?: string[]
  env?: Record<string, string>
  /** Of the service, beside what it needs. */
  serviceEnv?: Record<string, string>
  /** Members of the server's MCP configuration. */
  mcp?: Record<string, unknown>
  livekit?: Parameters<typeof startLiveKit>[0]
  /** Puts something between the worker and STT_BASE_URL, LLM_BASE_URL and TTS_BASE_URL: gets their addresses, gives others. */
  through? (urls: Record<string, string>): Promise<Record<string, string>>
}

/** Starts everything but the service. */
export async function startStage (options: StageOptions = {}) {
  const [livekit, speech, model, mcp] = await Promise.all([
    startLiveKit(options.livekit), startSpeech(), startLanguageModel(options.script ?? weatherScript), startMcpServer()
  ])
  const urls = { ...speech.env, LLM_BASE_URL: model.env.LLM_BASE_URL }
  const env = {
    ...livekit.env,
    ...model.env,
    ...await options.through?.(urls) ?? urls,
    ...speech.keys,
    MCP_TEST_TOKEN: TOKEN,
    MCP_CONFIG: JSON.stringify({
      servers: [{
        name: 'test',
        url: mcp.url,
        auth: { type: 'bearer', token_env: 'MCP_TEST_TOKEN' },
        allow: { workout: ['get_weather', ...options.tools ?? []] },
        ...options.mcp
      }]
    }),
    ...options.env
  }
  const worker = await startWorker(['voice'], env)
  return {
    livekit,
    speech,
    model,
    mcp,
    env,
    worker,
    async stop () {
      await worker.stop()
      model.stop()
      await mcp.kill()
      await Promise.all([speech.stop(), livekit.stop()])
    }
  }
}

export type Stage = Awaited<ReturnType<typeof startStage>>

/** Starts everything, the service included: sessions begin with its POST start. */
export async function startWholeStage (options: StageOptions = {}) {
  const port = await freePort()
  const stage = await startStage({ ...options, livekit: { ...options.livekit, webhookUrl: webhookUrl(port) } })
  const service = await startService(stage.livekit, port, { SERVICE_URL: `http://127.0.0.1:${port}`, ...options.serviceEnv })
  return {
    ...stage,
    service,
    async stop () {
      await service.stop()
      await stage.stop()
    }
  }
}

export type WholeStage = Awaited<ReturnType<typeof startWholeStage>>
