// Where replicas count together: in Redis while it answers, else each for itself.
import LocalStore from '@fastify/rate-limit/store/LocalStore.js'
import RedisStore from '@fastify/rate-limit/store/RedisStore.js'
import type { FastifyRateLimitStoreCtor } from '@fastify/rate-limit'
import type { Redis } from 'ioredis'

const NAMESPACE = 'livekit-sessions:limit:'

interface Options { continueExceeding?: boolean, exponentialBackoff?: boolean, cache?: number, routeInfo?: { method?: string, url?: string } }
type Counted = (error: Error | null, result?: { current: number, ttl: number }) => void
interface Store { incr: (key: string, done: Counted, timeWindow: number, max: number) => void }

/** Both of @fastify/rate-limit's own stores: a limit is kept while Redis is away, by what this process has seen. */
export function sharedStore (redis: Redis): FastifyRateLimitStoreCtor {
  return class SharedStore {
    readonly #shared: Store
    readonly #own: Store

    constructor (options: Options, name = '') {
      this.#shared = new RedisStore(options.continueExceeding, options.exponentialBackoff, redis, NAMESPACE + name)
      this.#own = new LocalStore(options.continueExceeding, options.exponentialBackoff, options.cache)
    }

    incr (key: string, done: Counted, timeWindow: number, max: number) {
      this.#shared.incr(key, (error, result) => error ? this.#own.incr(key, done, timeWindow, max) : done(null, result), timeWindow, max)
    }

    child (options: Options) {
      return new SharedStore(options, `${options.routeInfo?.method ?? ''}${options.routeInfo?.url ?? ''}-`)
    }
  } as unknown as FastifyRateLimitStoreCtor
}
