// Overload: when the event loop lags, requests are refused at once rather than answered late.
import createError from '@fastify/error'
import underPressure from '@fastify/under-pressure'
import fp from 'fastify-plugin'

const Overloaded = createError('OVERLOADED', 'The event loop lags.', 503)

/** Mean lag at which the service counts as overloaded, and how often it is looked at (ms). */
const maxEventLoopDelay = 500
const sampleInterval = 1000

/**
 * 503 with Retry-After for every route; one that has to answer all the same (liveness, metrics) says so
 * with `config: { pressureHandler: () => {} }`.
 */
export default fp(async (app, options: { maxEventLoopDelay?: number, sampleInterval?: number }) => {
  await app.register(underPressure, { maxEventLoopDelay, sampleInterval, retryAfter: 1, customError: Overloaded, ...options })
}, { name: 'pressure' })
