// The job process: what the framework loads in each of its children, waiting warm until a call comes.
import './races.ts'
import { defineAgent, type JobContext } from '@livekit/agents'
import { enterRoom, type Call } from './call.ts'
import { loadConfig, type Config } from './config.ts'
import { createLogger } from './log.ts'
import { readMetadata } from './metadata.ts'
import { takeOver, type KeptPrompts } from './prompts.ts'
import { report } from './reports.ts'
import { createRoomApi, removeAvatar } from './rooms.ts'
import type { CallTrace } from './tracing.ts'
import { withoutTokens } from './without-tokens.ts'

/** Each agent is loaded only in the processes that serve it: an echo needs neither models nor MCP in its memory. */
async function loadAgent (config: Config): Promise<(call: Call) => Promise<void>> {
  switch (config.agent) {
    case 'voice': {
      const { runVoice } = await import('./voice.ts')
      return (call) => runVoice(call, config)
    }
    case 'avatar': {
      const { runAvatar } = await import('./avatar.ts')
      return (call) => runAvatar(call, config)
    }
    case 'echo': {
      const { runEcho } = await import('./echo.ts')
      return runEcho
    }
  }
}

const config = loadConfig(process.env)
const run = await loadAgent(config)
const { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SDK_DISABLED } = process.env
const tracing = OTEL_EXPORTER_OTLP_ENDPOINT && OTEL_SDK_DISABLED !== 'true' ? await import('./tracing.ts') : undefined

// What nobody catches (the sockets of the plugins throw here) is told by the main process, in its one line about the crash.
process.on('uncaughtException', (error) => report({ type: 'crashing', reason: withoutTokens(error.stack ?? String(error)) }, () => process.exit(1)))

export default defineAgent({
  async entry (ctx: JobContext) {
    const result = readMetadata(ctx.job.metadata, ctx.job.room?.name ?? '')
    if (!result.ok) throw new Error(`job without metadata of ours: ${result.reason}`)
    const { metadata } = result
    takeOver((ctx.info as { prompts?: KeptPrompts }).prompts ?? [])
    const trace = tracing?.startTrace(metadata, ctx.job.id)
    const traced: CallTrace['run'] = trace?.run ?? ((work) => work())
    const log = createLogger(config.LOG_LEVEL, {
      agent: config.agent, session_id: metadata.session_id, request_id: metadata.request_id, dispatch: metadata.dispatch, job_id: ctx.job.id, ...trace?.fields
    })
    try {
      const call = await traced(() => enterRoom(ctx, metadata, config, log), 'join room')
      if (call) await traced(() => run(call))
    } catch (error) {
      // The agent leaves the room; the service sees it and sends another.
      log.error({ error }, 'the agent could not start')
      ctx.shutdown('failed')
    }
    // The framework starts all that is to be done at the end at once; what the rest still asks of model and service is to be in the trace.
    if (trace) {
      const rest = ctx.shutdownCallbacks.splice(0)
      ctx.addShutdownCallback(async () => { await trace.run(() => Promise.all(rest.map((callback) => callback()))).finally(() => trace.stop()) })
    }
  },
  /** The framework calls it before the agent leaves its room, whatever for: an avatar would stay, and be paid for, until the room closes. */
  async onSessionEnd (ctx: JobContext) {
    if (config.agent !== 'avatar') return
    const rooms = createRoomApi(config.serverUrl, config.LIVEKIT_API_KEY, config.LIVEKIT_API_SECRET)
    await removeAvatar(rooms, ctx.job.room?.name ?? '', ctx.info.acceptArguments.identity).catch(() => {})
  }
})
