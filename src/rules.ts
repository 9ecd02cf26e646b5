// The rules, wired to what they run on: app.sessions for the routes, and the reconciler that works beside them.
import fp from 'fastify-plugin'
import { createLifecycle, type Clock } from './lifecycle.ts'
import { createModes, jobMetadata } from './modes.ts'
import { createReadiness, type Readiness } from './readiness.ts'
import { createReconciler, type Reconciler } from './reconciler.ts'
import { createSessions, type Sessions } from './sessions.ts'

declare module 'fastify' {
  interface FastifyInstance {
    sessions: Sessions
    reconciler: Reconciler
    readiness: Readiness
  }
}

export default fp(async (app, { clock }: { clock: Clock }) => {
  const { config, livekit, sessionStore: store, log } = app
  const modes = createModes(config)
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
    revives: () => true,
    jobMetadata
  })

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
  app.decorate('reconciler', reconciler)
  app.decorate('readiness', createReadiness({ store, livekit }))

  app.addHook('onListen', async () => reconciler.start())
  app.addHook('preClose', () => reconciler.stop())
}, { name: 'rules', decorators: { fastify: ['config', 'livekit', 'sessionStore', 'metrics'] } })
