// How often one client may call: a signed-in user by id, anybody else by address.
import createError from '@fastify/error'
import rateLimit, { normalizeIP } from '@fastify/rate-limit'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { withDetails } from '../../src/sessions/errors.ts'
import { connectRedis } from './redis.ts'
import { sharedStore } from './shared-store.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Counts a refusal (of a token, an address, a method, a request that is none) against where it came from: guessing has an end. @throws RateLimited once there were too many */
    countRefusal: (request: Pick<FastifyRequest, 'ip'>) => Promise<void>
  }
}

const RateLimited = createError('RATE_LIMITED', 'Too many requests. Wait before the next one.', 429)

// What the limiter asks of a request beside its key; what Node refuses by itself has no route.
const noRoute = { routeOptions: {} }

/** How many clients are remembered at once; the one not seen for longest is forgotten first, so a flood of addresses costs a few MB at most. */
const clients = 10_000

/** How long the answer to whoever calls too often waits, ms: a flood then keeps its own connections busy, and not the processor. */
const refusalDelay = 500

/** The address that counts as one client: IPv6 by its /64, which is what one household or machine is given. */
function clientAddress ({ ip }: Pick<FastifyRequest, 'ip'>): string {
  return normalizeIP(ip ?? '')
}

/**
 * The 429 of every limit on requests.
 * @param limit requests per minute
 * @param wait until the next one is taken (ms)
 */
function tooManyRequests (limit: number, wait: number): Error {
  const seconds = Math.max(1, Math.ceil(wait / 1000))
  return withDetails(new RateLimited(), {
    delay: refusalDelay,
    members: { retry_after: seconds, limit },
    headers: { 'retry-after': String(seconds), 'ratelimit-limit': String(limit), 'ratelimit-remaining': '0', 'ratelimit-reset': String(seconds) }
  })
}

/**
 * Registers @fastify/rate-limit: its hook comes after those of a route's plugin, so `app.authenticate` has set the user by then.
 * Routes with `config: { rateLimit: false }` are exempt.
 */
export default fp(async (app) => {
  const { RATE_LIMIT_PER_MINUTE: max, REDIS_URL } = app.config
  await app.register(rateLimit, {
    global: max > 0,
    max,
    timeWindow: 60_000,
    cache: clients,
    ...(REDIS_URL ? { store: sharedStore(await connectRedis(app, REDIS_URL)) } : {}),
    enableDraftSpec: true,
    keyGenerator: (request) => request.user ? `user:${request.user.id}` : `address:${clientAddress(request)}`,
    errorResponseBuilder: (_request, { max, ttl }) => tooManyRequests(max, ttl)
  })

  const refusals = app.createRateLimit({ max, keyGenerator: (request) => `failed:${clientAddress(request)}` })
  app.decorate('countRefusal', async (request) => {
    if (max === 0) return
    const state = await refusals({ ...noRoute, ip: request.ip } as FastifyRequest)
    if (!state.isAllowed && state.isExceeded) throw tooManyRequests(state.max, state.ttl)
  })
}, { name: 'limits', decorators: { fastify: ['config'] } })
