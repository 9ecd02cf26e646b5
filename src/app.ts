// The app, assembled: every plugin and route file by name, in the order it boots.
import { BlockList } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify, { type FastifyInstance } from 'fastify'
import auth from '../plugins/auth/index.ts'
import config from '../plugins/config.ts'
import cors from '../plugins/cors.ts'
import database from '../plugins/database/index.ts'
import errors from '../plugins/http/errors.ts'
import http, { serverOptions } from '../plugins/http/index.ts'
import limits from '../plugins/limits/index.ts'
import livekit from '../plugins/livekit/index.ts'
import metrics from '../plugins/metrics.ts'
import pressure from '../plugins/pressure.ts'
import prices from '../plugins/prices.ts'
import recordingFiles from '../plugins/recording-files.ts'
import sessionMetrics from '../plugins/session-metrics.ts'
import swagger from '../plugins/swagger.ts'
import webhookSender from '../plugins/webhooks/index.ts'
import agents from '../routes/agents.ts'
import counselorCategories from '../routes/counselor-categories.ts'
import events from '../routes/events.ts'
import operations from '../routes/operations.ts'
import recordings from '../routes/recordings.ts'
import sessions from '../routes/sessions.ts'
import token from '../routes/token.ts'
import transcripts from '../routes/transcripts.ts'
import usage from '../routes/usage.ts'
import users from '../routes/users.ts'
import videoSessions, { createRoom } from '../routes/video-sessions.ts'
import voiceSessions from '../routes/voice-sessions.ts'
import web from '../routes/web.ts'
import webhookEndpoints from '../routes/webhook-endpoints.ts'
import webhooks from '../routes/webhooks.ts'
import type { Clock } from './sessions/clock.ts'
import type { Tracing } from './sessions/tracing.ts'
import wiring from './wiring.ts'

export interface AppOptions {
  /** The environment; `process.env` and the `.env` file when not given. */
  environment?: NodeJS.ProcessEnv
  /** One clock for rules and SQL; the machine's when not given. */
  clock?: Clock
  /** Where log lines go; stdout when not given. */
  logStream?: { write: (line: string) => void }
  /** Who traces; nobody when not given. `logFields` go into every log line. */
  tracing?: Tracing & { logFields: () => object, onTrouble: (tell: () => void) => void }
}

const clock: Clock = { now: Date.now, elapsed: () => performance.now(), sleep }

/**
 * Builds the app: ready to `listen` or `inject`, and closed by `close()`.
 * @throws Error saying what is wrong with the environment, or why the database cannot be had
 */
export async function buildApp (options: AppOptions = {}): Promise<FastifyInstance> {
  const proxies = new BlockList()
  const app = Fastify(serverOptions(proxies, options.logStream, options.tracing?.logFields))
  options.tracing?.onTrouble(() => app.log.warn('traces cannot be exported'))
  try {
    await app.register(config, { environment: options.environment ?? process.env, dotenv: !options.environment })
    await app.register(metrics)
    await app.register(limits)
    await app.register(errors)
    await app.register(http, { proxies })
    await app.register(pressure)
    await app.register(cors)
    await app.register(auth)
    await app.register(swagger)

    await app.register(prices)
    await app.register(database)
    await app.register(livekit)
    await app.register(recordingFiles)
    await app.register(sessionMetrics)
    await app.register(webhookSender)
    await app.register(wiring, { clock: options.clock ?? clock, tracing: options.tracing })

    await app.register(operations)
    await app.register(voiceSessions, { prefix: '/api/v1/voice-sessions' })
    await app.register(videoSessions, { prefix: '/api/v1/video' })
    await app.register(createRoom, { prefix: '/api/video', alias: true })
    await app.register(counselorCategories, { prefix: '/api/v1/counselor-categories' })
    await app.register(sessions, { prefix: '/api/v1/sessions' })
    await app.register(transcripts, { prefix: '/api/v1/sessions' })
    await app.register(recordings, { prefix: '/api/v1/sessions' })
    await app.register(events, { prefix: '/api/v1' })
    await app.register(token, { prefix: '/api/v1/token' })
    await app.register(usage, { prefix: '/api/v1/usage' })
    await app.register(users, { prefix: '/api/v1/users' })
    await app.register(webhookEndpoints, { prefix: '/api/v1/webhook-endpoints' })
    await app.register(webhooks, { prefix: '/api/v1/livekit' })
    await app.register(agents, { prefix: '/api/v1/agent' })
    await app.register(web)

    await app.ready()
  } catch (error) {
    await app.close()
    throw error
  }
  return app
}
