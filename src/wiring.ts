// The rules, wired to what they run on: app.sessions for the routes, and the reconciler that works beside them.
import fp from 'fastify-plugin'
import { createAgentArrival } from './sessions/agent-arrival.ts'
import { createAgentTokens, type AgentTokens } from './sessions/agent-tokens.ts'
import { createAudit } from './sessions/audit.ts'
import { createAutoCreate } from './sessions/auto-create.ts'
import { createCategories, type Categories } from './sessions/categories.ts'
import type { Clock } from './sessions/clock.ts'
import { createEndpoints, type Endpoints } from './sessions/endpoints.ts'
import { createHistory, type History } from './sessions/history.ts'
import { createIngress, type Ingresses } from './sessions/ingress.ts'
import { createLifecycle, type Lifecycle } from './sessions/lifecycle.ts'
import { createModes, jobMetadata } from './sessions/modes.ts'
import { createOutbox, type Outbox } from './sessions/outbox.ts'
import { createPrivacy, type Privacy } from './sessions/privacy.ts'
import { createReadiness, type Readiness } from './sessions/readiness.ts'
import { createReconciler, type Reconciler } from './sessions/reconciler.ts'
import { createRecordings, type Recordings } from './sessions/recordings.ts'
import { createRetention, type Retention } from './sessions/retention.ts'
import { createSessions, type Sessions } from './sessions/sessions.ts'
import type { Session } from './sessions/store.ts'
import { createStreams, type Streams } from './sessions/streams.ts'
import { createToolTokens, type ToolTokens } from './sessions/tool-tokens.ts'
import { createTranscriptKeys } from './sessions/transcript-keys.ts'
import { createTranscripts, type Transcripts } from './sessions/transcripts.ts'
import { noTracing, type Tracing } from './sessions/tracing.ts'
import { createUsage, type Usage } from './sessions/usage.ts'
import type { ModeName } from './sessions/vocabulary.ts'

declare module 'fastify' {
  interface FastifyInstance {
    sessions: Sessions
    categories: Categories
    history: History
    endpoints: Endpoints
    outbox: Outbox
    privacy: Privacy
    ingress: Ingresses
    lifecycle: Lifecycle
    reconciler: Reconciler
    readiness: Readiness
    recordings: Recordings
    retention: Retention
    streams: Streams
    transcripts: Transcripts
    usage: Usage
    toolTokens: ToolTokens
    agentTokens: AgentTokens
  }
}

export default fp(async (app, { clock, tracing = noTracing }: { clock: Clock, tracing?: Tracing }) => {
  const { config, livekit, sessionStore: store, sessionMetrics: metrics, log } = app
  const modes = createModes({
    voice: { agentName: config.VOICE_AGENT_NAME, tokenTtl: config.VOICE_TOKEN_TTL, maxDuration: config.VOICE_MAX_DURATION ?? config.VOICE_TOKEN_TTL },
    video: { agentName: config.VIDEO_AGENT_NAME, tokenTtl: config.VIDEO_TOKEN_TTL, maxDuration: config.VIDEO_MAX_DURATION ?? config.VIDEO_TOKEN_TTL },
    agentWait: config.VIDEO_DISPATCH_TIMEOUT
  })
  const autoCreate = createAutoCreate({ livekit, clock, log })
  const audit = createAudit({ store, clock })
  const categories = createCategories({ categories: app.categoryStore, audit, clock })
  const transcripts = createTranscripts({ store: app.transcriptStore, keys: config.TRANSCRIPT_KEYS ? createTranscriptKeys(config.TRANSCRIPT_KEYS) : undefined, audit, clock, log })
  const usage = createUsage({ store: app.usageStore, prices: app.prices, audit, clock, log, keepDays: config.RETENTION_DAYS })
  const recordings = createRecordings({ store: app.recordingStore, sessions: store, egress: livekit.egress, isOn: config.RECORDINGS !== 'off', files: app.recordingFiles, audit, clock, log, metrics })
  const ingress = createIngress({ store: app.ingressStore, sessions: store, livekit: livekit.ingress, isOn: config.INGRESS === 'on', modes, audit, clock, log, metrics, tracing })
  const toolTokens = createToolTokens({ keys: config.TOOL_TOKEN_KEYS, store, clock })
  const agentTokens = createAgentTokens(config.LIVEKIT_API_SECRET, clock)
  if (config.TRANSCRIPTS === 'on' && !config.SERVICE_URL) log.warn('TRANSCRIPTS is on and SERVICE_URL is not set: no agent can write one')
  const metadataOf = async (session: Session, dispatch: number) => jobMetadata(session, dispatch, {
    systemPrompt: await categories.promptOf(session),
    traceparent: tracing.traceparent(),
    service: config.SERVICE_URL ? { url: config.SERVICE_URL, token: agentTokens.issue(session) } : undefined
  })
  const agentArrival = createAgentArrival({ livekit, clock })
  const lifecycle = createLifecycle({ store, livekit, clock, metrics, tracing, agentTimeout: config.AGENT_JOIN_TIMEOUT, onAgent: agentArrival.told, wake: () => reconciler.wake() })
  const reconciler: Reconciler = createReconciler({
    store,
    livekit,
    lifecycle,
    modes,
    clock,
    log,
    limits: {
      interval: config.RECONCILE_INTERVAL,
      joinTimeout: config.AGENT_JOIN_TIMEOUT,
      maxDispatches: config.AGENT_MAX_DISPATCHES,
      endOnAgentFailure: config.END_ON_AGENT_FAILURE,
      departureTimeout: config.DEPARTURE_TIMEOUT
    },
    revives: autoCreate.isOn,
    jobMetadata: metadataOf,
    metrics,
    tracing
  })
  const outbox = createOutbox({ store: app.webhookStore, sender: app.webhookSender, clock, log, metrics: app.webhookSender.metrics })
  const privacy = createPrivacy({ store: app.privacyStore, lifecycle, transcripts, recordings, audit, clock, log })
  const retention = createRetention({
    store,
    clock,
    log,
    days: config.RETENTION_DAYS,
    async sweep () {
      await privacy.sweep()
      await transcripts.sweep()
      await usage.sweep()
    }
  })

  app.decorate('sessions', createSessions({
    store,
    livekit,
    lifecycle,
    audit,
    agentArrival,
    modes,
    clock,
    metrics,
    tracing,
    jobMetadata: metadataOf,
    transcripts: config.TRANSCRIPTS === 'on',
    recordingFile: config.RECORDINGS === 'off' ? undefined : (id, mode) => `recordings/${id}.${isAudioOnly(config.RECORDINGS, mode) ? 'ogg' : 'mp4'}`,
    livekitUrl: config.LIVEKIT_URL,
    limits: {
      sessionsPerUser: config.MAX_SESSIONS_PER_USER,
      startsPerMinute: config.START_LIMIT_PER_MINUTE,
      minutesPerMonth: config.MONTHLY_MINUTES_PER_USER,
      departureTimeout: config.DEPARTURE_TIMEOUT,
      reconcileInterval: config.RECONCILE_INTERVAL
    }
  }))
  app.decorate('categories', categories)
  app.decorate('endpoints', createEndpoints({ endpoints: app.webhookStore, audit, clock, refusal: app.webhookSender.refusal }))
  app.decorate('outbox', outbox)
  app.decorate('privacy', privacy)
  app.decorate('history', createHistory({ store, lifecycle, recordings, usage, audit }))
  app.decorate('lifecycle', lifecycle)
  app.decorate('transcripts', transcripts)
  app.decorate('recordings', recordings)
  app.decorate('ingress', ingress)
  app.decorate('usage', usage)
  app.decorate('toolTokens', toolTokens)
  app.decorate('agentTokens', agentTokens)
  app.decorate('reconciler', reconciler)
  app.decorate('retention', retention)
  const readiness = createReadiness({ store, livekit, clock })
  app.decorate('readiness', readiness)
  const streams = createStreams({ events: app.eventStore, audit, clock, log, isDraining: readiness.isDraining })
  app.decorate('streams', streams)
  // A client that keeps its connection is told to let it go before the listener closes: a request on it then would be cut off.
  app.addHook('onRequest', (_request, reply, done) => {
    if (readiness.isDraining()) reply.header('connection', 'close')
    done()
  })

  app.addHook('onReady', () => autoCreate.find())
  app.addHook('onListen', async () => {
    ingress.check()
    recordings.check()
    reconciler.start()
    outbox.start()
    transcripts.start()
    usage.start()
    recordings.start()
    ingress.start()
    retention.start()
  })
  app.addHook('preClose', async () => {
    streams.stop()
    autoCreate.stop()
    await Promise.all([reconciler.stop(), outbox.stop(), transcripts.stop(), recordings.stop(), ingress.stop(), usage.stop(), retention.stop()])
  })
}, { name: 'wiring', decorators: { fastify: ['config', 'livekit', 'prices', 'sessionStore', 'categoryStore', 'eventStore', 'privacyStore', 'recordingStore', 'recordingFiles', 'ingressStore', 'transcriptStore', 'usageStore', 'webhookStore', 'webhookSender', 'sessionMetrics'] } })

/** Whether only what is heard is recorded: of voice, and of video where that is configured. */
const isAudioOnly = (recordings: string, mode: ModeName) => recordings === 'audio' || (recordings === 'on' && mode === 'voice')
