// The worker's main process: reads the configuration and serves until it is told to stop; then it drains.
import { ConfigError, agentName, loadConfig, type Config } from './config.ts'
import { listenForHealth } from './health.ts'
import { createLogger } from './log.ts'
import { createMetrics } from './metrics.ts'
import { holdPool } from './pool.ts'
import { keptPrompts, neededBy, readPrompts } from './prompts.ts'
import { createRoomApi, removeGhost } from './rooms.ts'
import { keepJobsSmall } from './small.ts'
import { createSupervisor } from './supervisor.ts'
import { createWorker } from './worker.ts'

// The job processes inherit the environment: it is where they read which agent they are.
const [agent, echoMode] = process.argv.slice(2)
if (agent) process.env.AGENT = agent
if (echoMode) process.env.ECHO_MODE = echoMode
keepJobsSmall()

let config: Config
try {
  config = loadConfig(process.env)
  const broken = config.agent === 'echo' ? [] : readPrompts(config.PROMPTS_DIR, neededBy(config.agent))
  if (broken.length > 0) throw new ConfigError(broken)
} catch (error) {
  if (!(error instanceof ConfigError)) throw error
  console.error(error.message)
  process.exit(1)
}

const log = createLogger(config.LOG_LEVEL, { agent: config.agent })
const metrics = createMetrics()
const rooms = createRoomApi(config.serverUrl, config.LIVEKIT_API_KEY, config.LIVEKIT_API_SECRET)
const pool = await holdPool(() => config.agent === 'echo' ? {} : { prompts: keptPrompts(config.PROMPTS_DIR) })
const supervisor = createSupervisor({ log, metrics, pool, removeGhost: (room, identity) => removeGhost(rooms, room, identity) })
const worker = createWorker({ config, log, metrics, pool, supervisor })

const endpoint = await listenForHealth({
  host: config.HEALTH_HOST,
  port: config.HEALTH_PORT,
  metrics,
  health: () => ({
    agent: config.agent,
    agent_name: agentName(config),
    registered: worker.registered() && supervisor.inferenceAlive(),
    draining: worker.draining(),
    active_jobs: worker.activeJobs(),
    idle_processes: pool.idle(),
    avatars: supervisor.avatars()
  })
})
log.info({ host: config.HEALTH_HOST, port: endpoint.port }, 'health endpoint listening')

let stopping = false

/** Told once it drains, told again it ends its calls. */
export async function stop (signal: string): Promise<void> {
  if (stopping) {
    // The second signal: end the calls now. They leave their rooms in order.
    log.warn({ signal }, 'stopping at once')
    await worker.close()
    process.exit(1)
  }
  stopping = true
  log.info({ signal, active_jobs: worker.activeJobs() }, 'draining')
  const ended = await worker.drain(config.DRAIN_TIMEOUT)
  if (!ended) log.warn({ active_jobs: worker.activeJobs() }, 'drain timeout: ending the calls')
  await worker.close()
  endpoint.close()
  log.info('stopped')
  process.exit(ended ? 0 : 1)
}

worker.run().catch((error: unknown) => {
  log.fatal({ error }, 'worker failed')
  process.exit(1)
})
