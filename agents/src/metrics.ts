// The worker's Prometheus metrics, all kept in the main process.
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'

/** Creates a registry with the metrics below. */
export function createMetrics () {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry, prefix: 'agents_' })
  // Gauges called totals, which Prometheus' conventions do not allow; what they count is by kind in those of the same name without it.
  for (const name of ['handles', 'requests', 'resources']) registry.removeSingleMetric(`agents_nodejs_active_${name}_total`)
  const jobs = new Counter({ name: 'agents_jobs_total', help: 'Jobs by outcome: accepted, refused, ended, crashed', labelNames: ['outcome'], registers })
  for (const outcome of ['accepted', 'refused', 'ended', 'crashed']) jobs.inc({ outcome }, 0)
  return {
    registry,
    jobs,
    activeJobs: new Gauge({ name: 'agents_active_jobs', help: 'Calls this worker is in', registers }),
    idleProcesses: new Gauge({ name: 'agents_idle_processes', help: 'Warm processes that wait for a call', registers }),
    ghosts: new Counter({ name: 'agents_ghosts_removed_total', help: 'Participants of crashed jobs removed from their rooms, by result', labelNames: ['result'], registers }),
    avatars: new Gauge({ name: 'agents_avatars', help: 'Avatars of the current calls by state', labelNames: ['state'], registers }),
    avatarChanges: new Counter({ name: 'agents_avatar_changes_total', help: 'States the avatars have entered', labelNames: ['state'], registers }),
    toolCalls: new Counter({ name: 'agents_tool_calls_total', help: 'MCP tool calls by server and outcome', labelNames: ['server', 'outcome'], registers }),
    texts: new Counter({ name: 'agents_texts_total', help: 'Texts that users typed: taken, cut (too long), dropped (too many)', labelNames: ['outcome'], registers }),
    failures: new Counter({ name: 'agents_failures_total', help: 'Turns in which a part of the conversation did not work: stt, llm, tts', labelNames: ['part'], registers }),
    failovers: new Counter({ name: 'agents_failovers_total', help: 'Providers that failed, so that the next one of their part was asked, and those that came back, by part (stt, llm, tts), provider (place and name) and to (next, back)', labelNames: ['part', 'provider', 'to'], registers }),
    answers: new Histogram({
      name: 'agents_answer_seconds',
      help: 'End of the user\'s speech to the start of the agent\'s, seconds',
      buckets: [0.5, 0.75, 1, 1.5, 2, 3, 5, 10],
      registers
    }),
    parts: new Histogram({
      name: 'agents_turn_part_seconds',
      help: 'Parts of a turn: recognition, end_of_turn, model (to its first token), tool, speech (to its first sound)',
      labelNames: ['part'],
      buckets: [0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5],
      registers
    }),
    firstSounds: new Histogram({
      name: 'agents_first_sound_seconds',
      help: 'From the start of a session, or its user\'s arrival when that was later, to the first sound of its first agent',
      buckets: [0.25, 0.5, 1, 1.5, 2, 3, 5, 10],
      registers
    })
  }
}

export type Metrics = ReturnType<typeof createMetrics>
