// What the sessions come to, in numbers for Prometheus: starts, live ones, ends and why, how long agents take, what watchdog and reconciler did.
import fp from 'fastify-plugin'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { SessionMetrics } from '../src/sessions/metrics.ts'
import type { Session, SessionStore } from '../src/sessions/store.ts'
import { modeNames, recordingStates, states } from '../src/sessions/vocabulary.ts'

declare module 'fastify' {
  interface FastifyInstance {
    sessionMetrics: SessionMetrics
  }
}

/** How old the count of live sessions may be, ms. */
const COUNT_EVERY = 5000
const outcomes = ['started', 'replayed', 'refused', 'failed'] as const
const openStates = states.filter((state) => state !== 'ended')

/** Registers the metrics. Labels are few and ours: mode, outcome, state, reason, kind, and the configured agent names. */
function createSessionMetrics (registry: Registry, store: Pick<SessionStore, 'countLive'>, agentNames: Record<string, string>): SessionMetrics {
  const registers = [registry]
  let countedAt = -Infinity
  // Those that alerts compare are there from the start, at 0: a series that begins with its first failure has never risen.
  const starts = new Counter({ name: 'session_starts_total', help: 'Starts answered, by mode and outcome', labelNames: ['mode', 'outcome'] as const, registers })
  for (const mode of modeNames) for (const outcome of outcomes) starts.inc({ mode, outcome }, 0)
  const started = new Counter({ name: 'sessions_started_total', help: 'Sessions started, by mode', labelNames: ['mode'] as const, registers })
  const ended = new Counter({ name: 'sessions_ended_total', help: 'Sessions ended, by mode and reason', labelNames: ['mode', 'reason'] as const, registers })
  const joined = new Histogram({ name: 'agent_join_seconds', help: 'From a dispatch until its agent is in the room', labelNames: ['agent'] as const, buckets: [0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 60], registers })
  const waited = new Histogram({ name: 'agent_wait_seconds', help: 'How long the user of a session was there without an agent, from joining to the first agent, or until none was to be expected', labelNames: ['mode'] as const, buckets: [0.5, 1, 2, 5, 10, 20, 60, 300], registers })
  for (const mode of modeNames) waited.zero({ mode })
  const dispatches = new Counter({ name: 'watchdog_dispatches_total', help: 'Agents that were sent for because one was missing, by mode and outcome', labelNames: ['mode', 'outcome'] as const, registers })
  const givenUp = new Counter({ name: 'watchdog_gave_up_total', help: 'Sessions to which no agent came, by mode', labelNames: ['mode'] as const, registers })
  for (const mode of modeNames) {
    for (const outcome of ['sent', 'failed']) dispatches.inc({ mode, outcome }, 0)
    givenUp.inc({ mode }, 0)
  }
  const recordings = new Counter({ name: 'recordings_total', help: 'Recordings that came to a state, by mode and state', labelNames: ['mode', 'state'] as const, registers })
  for (const mode of modeNames) for (const state of recordingStates) if (state !== 'pending') recordings.inc({ mode, state }, 0)
  const ingresses = new Counter({ name: 'ingresses_total', help: 'Ingresses that were made and removed, and that could not be made, by mode and outcome', labelNames: ['mode', 'outcome'] as const, registers })
  for (const mode of modeNames) for (const outcome of ['made', 'failed', 'removed']) ingresses.inc({ mode, outcome }, 0)
  const checked = new Counter({ name: 'reconciler_checked_total', help: 'Sessions the reconciler looked at', registers })
  const corrected = new Counter({ name: 'reconciler_corrected_total', help: 'What the reconciler put right, by kind', labelNames: ['kind'] as const, registers })
  corrected.inc({ kind: 'revived' }, 0)
  const unanswered = new Counter({ name: 'reconciler_unanswered_total', help: 'Sessions about which LiveKit could not be asked', registers })
  const lag = new Gauge({ name: 'reconciler_lag_seconds', help: 'How long the most overdue session of the last pass had waited', registers })
  const live = new Gauge({
    name: 'sessions_live',
    help: 'Sessions that have not ended, by mode and state',
    labelNames: ['mode', 'state'] as const,
    registers,
    // However often it is scraped, the database is asked once in a while; when it is away, the last count stands.
    async collect () {
      if (performance.now() - countedAt < COUNT_EVERY) return
      countedAt = performance.now()
      const counts = await store.countLive().catch(() => undefined)
      if (!counts) return
      for (const mode of modeNames) for (const state of openStates) live.set({ mode, state }, counts.find((one) => one.mode === mode && one.state === state)?.count ?? 0)
    }
  })

  return {
    answered: (mode, outcome) => starts.inc({ mode, outcome }),
    started: ({ mode }) => started.inc({ mode }),
    ended (session) {
      const { mode, end_reason: reason, ended_at: at } = session
      ended.inc({ mode, reason: reason ?? 'unknown' })
      if (session.agent_state !== 'failed' && !session.agent_joined_at) wait(session, at)
    },
    // An agent that has just come is measured from its dispatch, and from the arrival of the user whom it is for.
    reported (before, after) {
      if (before.state !== 'ended' && after.state === 'ended') this.ended(after)
      if (before.state !== 'ended' && !(before.agent_joined_at && before.user_joined_at) && before.agent_state !== 'failed') wait(after, after.agent_joined_at)
      if (before.agent_state === 'joined' || after.agent_state !== 'joined' || !after.agent_joined_at || !after.agent_dispatched_at) return
      joined.observe({ agent: agentNames[after.mode] }, Math.max(0, after.agent_joined_at.getTime() - after.agent_dispatched_at.getTime()) / 1000)
    },
    pass (result) {
      checked.inc(result.checked)
      for (const [kind, count] of Object.entries(result.corrected)) corrected.inc({ kind }, count)
      unanswered.inc(result.unanswered)
      lag.set(result.lag / 1000)
    },
    dispatched: ({ mode }, done) => dispatches.inc({ mode, outcome: done ? 'sent' : 'failed' }),
    recorded: ({ mode, recording }) => recordings.inc({ mode, state: recording! }),
    ingress: ({ mode }, outcome) => ingresses.inc({ mode, outcome }),
    gaveUp (session, at) {
      givenUp.inc({ mode: session.mode })
      if (!session.agent_joined_at) wait(session, at)
    }
  }

  /** Once for each session with a user that was to have an agent: at its first agent, or when none was to be expected any more. */
  function wait ({ mode, agent_state: agent, user_joined_at: from }: Session, until: Date | null) {
    if (agent !== 'none' && from && until) waited.observe({ mode }, Math.max(0, until.getTime() - from.getTime()) / 1000)
  }
}

export default fp(async (app) => {
  const { VOICE_AGENT_NAME: voice, VIDEO_AGENT_NAME: video } = app.config
  app.decorate('sessionMetrics', createSessionMetrics(app.metrics, app.sessionStore, { voice, video }))
}, { name: 'session-metrics', decorators: { fastify: ['config', 'metrics', 'sessionStore'] } })
