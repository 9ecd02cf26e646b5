// The worker's Prometheus metrics, all kept in the main process.
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'

/** Creates a registry with the metrics below. */
export function createMetrics () {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry, prefix: 'agents_' })
  return {
    registry,
    jobs: new Counter({ name: 'agents_jobs_total', help: 'Jobs by outcome: accepted, refused, ended, crashed', labelNames: ['outcome'], registers }),
    activeJobs: new Gauge({ name: 'agents_active_jobs', help: 'Calls this worker is in', registers }),
    idleProcesses: new Gauge({ name: 'agents_idle_processes', help: 'Warm processes that wait for a call', registers }),
    ghosts: new Counter({ name: 'agents_ghosts_removed_total', help: 'Participants of crashed jobs removed from their rooms, by result', labelNames: ['result'], registers }),
    avatars: new Gauge({ name: 'agents_avatars', help: 'Avatars of the current calls by state', labelNames: ['state'], registers }),
    avatarChanges: new Counter({ name: 'agents_avatar_changes_total', help: 'States the avatars have entered', labelNames: ['state'], registers }),
    toolCalls: new Counter({ name: 'agents_tool_calls_total', help: 'MCP tool calls by server and outcome', labelNames: ['server', 'outcome'], registers }),
    texts: new Counter({ name: 'agents_texts_total', help: 'Texts that users typed: taken, cut (too long), dropped (too many)', labelNames: ['outcome'], registers }),
    failures: new Counter({ name: 'agents_failures_total', help: 'Turns in which a part of the conversation did not work: stt, llm, tts', labelNames: ['part'], registers }),
    answers: new Histogram({
      name: 'agents_answer_seconds',
      help: 'End of the user\'s speech to the start of the agent\'s, seconds',
      buckets: [0.5, 0.75, 1, 1.5, 2, 3, 5, 10],
      registers
    })
  }
}

export type Metrics = ReturnType<typeof createMetrics>
