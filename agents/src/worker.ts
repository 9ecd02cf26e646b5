// The worker: registers with LiveKit, accepts or refuses jobs, says how busy it is, and ends in order.
import { AgentServer, InferenceRunner, ServerOptions, type JobRequest } from '@livekit/agents'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import { agentName, servesVideo, type Config } from './config.ts'
import type { Logger } from './log.ts'
import { readMetadata } from './metadata.ts'
import type { Metrics } from './metrics.ts'
import type { Pool } from './pool.ts'
import type { Supervisor } from './supervisor.ts'

/** LiveKit gives nothing to a worker whose load is 0.7 or more (`agents.target_load`): below the limit of jobs it stays under that. */
const HIGHEST_LOAD_WITH_ROOM = 0.69

/** The framework asks for the load every 2.5 s, only while connected: silence for longer means the connection is gone. */
const HEARTBEAT_LIMIT = 6000

/** Milliseconds an accepted job may take until it is assigned: LiveKit may give it to nobody. */
const LAUNCH_LIMIT = 10_000

/** Milliseconds the framework has for asking its idle processes to stop before they are ended. */
const IDLE_GRACE = 2000

/** Milliseconds for the jobs to leave their rooms (a summary takes 8 s at most, the last lines and the last report 5 s each), and for removing those that did not. */
const LEAVING = 20_000
const CLEANING = 3000

export interface WorkerOptions { config: Config, log: Logger, metrics: Metrics, pool: Pool, supervisor: Supervisor }

/** Creates the worker; nothing connects before `run`. */
export function createWorker ({ config, log, metrics, pool, supervisor }: WorkerOptions) {
  const mode = servesVideo(config) ? 'video' : 'voice'
  /** Accepted, and not yet given to a process; since when, as long as LiveKit has not assigned it. */
  const launching = new Map<string, number>()
  pool.onAssigned((id) => launching.set(id, Infinity))
  pool.onGiven((id) => launching.delete(id))
  let heartbeat = -Infinity
  let draining = false

  const running = (): number => {
    for (const [id, since] of launching) if (performance.now() - since > LAUNCH_LIMIT) launching.delete(id)
    return server.activeJobs.length + launching.size
  }

  /** Accepts the jobs of our service as long as there is room. A refused job is not offered again: the service's watchdog dispatches anew. */
  async function answer (request: JobRequest): Promise<void> {
    const result = readMetadata(request.job.metadata, request.room?.name ?? '')
    const refusal = !result.ok
      ? result.reason
      : result.metadata.mode !== mode ? `mode: this worker serves ${mode}` : draining ? 'draining' : running() >= config.MAX_JOBS ? 'full' : undefined
    if (refusal || !result.ok) {
      metrics.jobs.inc({ outcome: 'refused' })
      log.warn({ job_id: request.id, reason: refusal }, 'job refused')
      return request.reject()
    }
    const { session_id: sessionId, request_id: requestId, dispatch } = result.metadata
    launching.set(request.id, performance.now())
    metrics.jobs.inc({ outcome: 'accepted' })
    log.info({ session_id: sessionId, request_id: requestId, job_id: request.id, dispatch }, 'job accepted')
    await request.accept('Assistant', undefined, undefined, mode === 'video' ? { avatar: config.agent === 'echo' ? 'ready' : 'starting' } : {})
  }

  // Only the voice agent decides on the end of turns by itself; for the others the shared inference process (340 MB) is left out.
  if (config.agent !== 'voice') InferenceRunner.registerRunner = () => {}

  const options = new ServerOptions({
    agent: fileURLToPath(import.meta.resolve(import.meta.url.endsWith('.ts') ? './job.ts' : './job.js')),
    agentName: agentName(config),
    wsURL: config.serverUrl,
    apiKey: config.LIVEKIT_API_KEY,
    apiSecret: config.LIVEKIT_API_SECRET,
    numIdleProcesses: config.LIVEKIT_WORKER_NUM_IDLE,
    requestFunc: answer,
    async loadFunc () {
      heartbeat = performance.now()
      const jobs = running()
      return draining || jobs >= config.MAX_JOBS ? 1 : HIGHEST_LOAD_WITH_ROOM * jobs / config.MAX_JOBS
    },
    loadThreshold: 0.99,
    // An outage of LiveKit may last: /readyz says so meanwhile, and giving up would help nobody.
    maxRetry: Number.MAX_SAFE_INTEGER,
    shutdownProcessTimeout: LEAVING,
    logLevel: config.LOG_LEVEL
  })
  // Turns off the framework's own HTTP endpoint, which cannot be extended; read by the constructor below and nowhere else.
  options.simulation = true

  const server = new AgentServer(options)
  server.event.on('worker_registered', (id: string) => {
    heartbeat = performance.now()
    log.info({ worker_id: id, agent_name: agentName(config), server: config.serverUrl }, 'worker registered')
  })

  return {
    activeJobs: () => server.activeJobs.length,
    draining: () => draining,
    registered: () => draining || performance.now() - heartbeat < HEARTBEAT_LIMIT,
    /** Serves until closed. @throws when the framework gives up. */
    run: () => server.run(),
    /**
     * Takes no new jobs, waits for the running ones.
     * @param seconds after which it stops waiting.
     * @returns whether every job ended by itself.
     */
    async drain (seconds: number): Promise<boolean> {
      draining = true
      const until = performance.now() + seconds * 1000
      // A job that was accepted before may have no process yet: the framework would end the idle ones that it waits for.
      while (running() > server.activeJobs.length && performance.now() < until) await sleep(50)
      pool.close()
      // Tells LiveKit at once and asks the idle processes to stop. It throws when one of them has not started yet.
      server.drain().catch(() => {})
      setTimeout(() => supervisor.killIdle(pool.isGiven), IDLE_GRACE).unref()
      while (running() > 0 && performance.now() < until) await sleep(200)
      return running() === 0
    },
    /** Ends the running jobs and disconnects. They have 20 s to leave their rooms in order, then they are made to. */
    async close (): Promise<void> {
      pool.close()
      supervisor.killIdle()
      await Promise.race([server.close(), sleep(LEAVING)])
      await supervisor.killBusy(CLEANING)
    }
  }
}

export type Worker = ReturnType<typeof createWorker>
