// What the sessions come to, in numbers for Prometheus: started, live, ended and why, how long agents take, what the reconciler did.
import fp from 'fastify-plugin'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { SessionMetrics } from '../src/sessions/metrics.ts'
import type { SessionStore } from '../src/sessions/store.ts'
import { modeNames } from '../src/sessions/vocabulary.ts'

declare module 'fastify' {
  interface FastifyInstance {
    sessionMetrics: SessionMetrics
  }
}

/** How old the count of live sessions may be, ms. */
const COUNT_EVERY = 5000

/** Registers the metrics. Labels are few and ours: mode, reason, kind, and the configured agent names. */
function createSessionMetrics (registry: Registry, store: Pick<SessionStore, 'countLive'>, agentNames: Record<string, string>): SessionMetrics {
  const registers = [registry]
  let countedAt = -Infinity
  const started = new Counter({ name: 'sessions_started_total', help: 'Sessions started, by mode', labelNames: ['mode'] as const, registers })
  const ended = new Counter({ name: 'sessions_ended_total', help: 'Sessions ended, by mode and reason', labelNames: ['mode', 'reason'] as const, registers })
  const joined = new Histogram({ name: 'agent_join_seconds', help: 'From a dispatch until its agent is in the room', labelNames: ['agent'] as const, buckets: [0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 60], registers })
  const checked = new Counter({ name: 'reconciler_checked_total', help: 'Sessions the reconciler looked at', registers })
  const corrected = new Counter({ name: 'reconciler_corrected_total', help: 'What the reconciler put right, by kind', labelNames: ['kind'] as const, registers })
  const unanswered = new Counter({ name: 'reconciler_unanswered_total', help: 'Sessions about which LiveKit could not be asked', registers })
  const lag = new Gauge({ name: 'reconciler_lag_seconds', help: 'How long the most overdue session of the last pass had waited', registers })
  const live = new Gauge({
    name: 'sessions_live',
    help: 'Sessions that have not ended, by mode',
    labelNames: ['mode'] as const,
    registers,
    // However often it is scraped, the database is asked once in a while; when it is away, the last count stands.
    async collect () {
      if (performance.now() - countedAt < COUNT_EVERY) return
      countedAt = performance.now()
      const counts = await store.countLive().catch(() => undefined)
      if (counts) for (const mode of modeNames) live.set({ mode }, counts.find((one) => one.mode === mode)?.count ?? 0)
    }
  })

  return {
    started: ({ mode }) => started.inc({ mode }),
    ended: ({ mode, end_reason: reason }) => ended.inc({ mode, reason: reason ?? 'unknown' }),
    // An agent that has just come is measured from its dispatch.
    reported (before, after) {
      if (before.state !== 'ended' && after.state === 'ended') this.ended(after)
      if (before.agent_state === 'joined' || after.agent_state !== 'joined' || !after.agent_joined_at || !after.agent_dispatched_at) return
      joined.observe({ agent: agentNames[after.mode] }, Math.max(0, after.agent_joined_at.getTime() - after.agent_dispatched_at.getTime()) / 1000)
    },
    pass (result) {
      checked.inc(result.checked)
      for (const [kind, count] of Object.entries(result.corrected)) corrected.inc({ kind }, count)
      unanswered.inc(result.unanswered)
      lag.set(result.lag / 1000)
    }
  }
}

export default fp(async (app) => {
  const { VOICE_AGENT_NAME: voice, VIDEO_AGENT_NAME: video } = app.config
  app.decorate('sessionMetrics', createSessionMetrics(app.metrics, app.sessionStore, { voice, video }))
}, { name: 'session-metrics', decorators: { fastify: ['config', 'metrics', 'sessionStore'] } })
