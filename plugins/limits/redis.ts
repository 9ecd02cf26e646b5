// Redis, where replicas share their limits: connected behind the scenes, never waited for, loaded only when it is used.
import type { FastifyInstance } from 'fastify'
import type { Redis } from 'ioredis'

/** Longest wait for one answer (ms). After it the connection counts as dead, and commands fail at once until there is a new one. */
const patience = 250

/**
 * A client that fails fast: while Redis is away its commands reject at once, nothing queues, and the service works without it.
 * It is back within `retryDelay` of Redis. Both turns are logged once.
 */
export async function connectRedis (app: FastifyInstance, url: string, retryDelay = 1000): Promise<Redis> {
  const { Redis } = await import('ioredis')
  const redis = new Redis(url, {
    connectTimeout: 1000,
    commandTimeout: patience,
    socketTimeout: patience,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    retryStrategy: () => retryDelay
  })

  let away = false
  redis.on('error', (err) => {
    if (!away) app.log.warn({ err }, 'Redis is away: each replica counts requests for itself')
    away = true
  })
  redis.on('ready', () => {
    if (away) app.log.info('Redis is back: replicas count requests together again')
    away = false
  })
  app.addHook('onClose', async () => redis.disconnect())
  return redis
}
