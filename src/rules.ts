// The rules, wired to what they run on: app.sessions for the routes, and the reconciler that works beside them.
import fp from 'fastify-plugin'
import { Counter, Gauge, type Registry } from 'prom-client'
import { createAutoCreate } from './auto-create.ts'
import { createHistory, type History } from './history.ts'
import { createLifecycle, type Clock, type Lifecycle } from './lifecycle.ts'
import { createModes, jobMetadata } from './modes.ts'
import { createReadiness, type Readiness } from './readiness.ts'
import { createReconciler, type PassResult, type Reconciler } from './reconciler.ts'
import { createRetention, type Retention } from './retention.ts'
import { createSessions, type Sessions } from './sessions.ts'

declare module 'fastify' {
  interface FastifyInstance {
    sessions: Sessions
    history: History
    lifecycle: Lifecycle
    reconciler: Reconciler
    readiness: Readiness
    retention: Retention
  }
}

export default fp(async (app, { clock }: { clock: Clock }) => {
  const { config, livekit, sessionStore: store, log } = app
  const modes = createModes(config)
  const autoCreate = createAutoCreate({ livekit, log })
  const lifecycle = createLifecycle({ store, livekit, clock, wake: () => reconciler.wake() })
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
      endOnAgentFailure: config.END_ON_AGENT_FAILURE
    },
    revives: autoCreate.isOn,
    jobMetadata,
    onPass: passMetrics(app.metrics)
  })
  const retention = createRetention({ store, clock, log, days: config.RETENTION_DAYS })

  app.decorate('sessions', createSessions({
    store,
    livekit,
    lifecycle,
    modes,
    clock,
    livekitUrl: config.LIVEKIT_URL,
    limits: {
      sessionsPerUser: config.MAX_SESSIONS_PER_USER,
      startsPerMinute: config.START_LIMIT_PER_MINUTE,
      departureTimeout: config.DEPARTURE_TIMEOUT,
      reconcileInterval: config.RECONCILE_INTERVAL
    }
  }))
  app.decorate('history', createHistory({ store, lifecycle, clock }))
  app.decorate('lifecycle', lifecycle)
  app.decorate('reconciler', reconciler)
  app.decorate('retention', retention)
  app.decorate('readiness', createReadiness({ store, livekit }))

  app.addHook('onReady', () => autoCreate.find())
  app.addHook('onListen', async () => {
    reconciler.start()
    retention.start()
  })
  app.addHook('preClose', async () => {
    autoCreate.stop()
    retention.stop()
    await reconciler.stop()
  })
}, { name: 'rules', decorators: { fastify: ['config', 'livekit', 'sessionStore', 'metrics'] } })

/** What the passes of the reconciler did, for Prometheus. */
function passMetrics (registry: Registry) {
  const registers = [registry]
  const checked = new Counter({ name: 'reconciler_checked_total', help: 'Sessions the reconciler looked at', registers })
  const corrected = new Counter({ name: 'reconciler_corrected_total', help: 'What the reconciler put right, by kind', labelNames: ['kind'] as const, registers })
  const unanswered = new Counter({ name: 'reconciler_unanswered_total', help: 'Sessions about which LiveKit could not be asked', registers })
  const lag = new Gauge({ name: 'reconciler_lag_seconds', help: 'How long the most overdue session of the last pass had waited', registers })

  return (result: PassResult) => {
    checked.inc(result.checked)
    for (const [kind, count] of Object.entries(result.corrected)) corrected.inc({ kind }, count)
    unanswered.inc(result.unanswered)
    lag.set(result.lag / 1000)
  }
}
