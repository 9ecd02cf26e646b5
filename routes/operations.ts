// What operators ask: is it alive, is it ready, what does it measure. Not part of the API document.
import { timingSafeEqual } from 'node:crypto'
import createError from '@fastify/error'
import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { Gauge } from 'prom-client'

const MetricsForbidden = createError('METRICS_TOKEN_REQUIRED', 'A valid bearer token is required.', 401)
// They answer under overload too: it must not look like a dead process.
const hidden = { schema: { hide: true }, config: { rateLimit: false as const, pressureHandler: () => {} } }

const operations: FastifyPluginAsync = async (app) => {
  app.metrics.registerMetric(new Gauge({
    name: 'dependency_up',
    help: 'Whether what the service needs answers it: 1 or 0, as readiness sees it',
    labelNames: ['dependency'] as const,
    registers: [],
    async collect () {
      const { database, livekit } = await app.readiness()
      this.set({ dependency: 'database' }, database === 'ok' ? 1 : 0)
      this.set({ dependency: 'livekit' }, livekit === 'ok' ? 1 : 0)
    }
  }))

  // Alive: the process answers. Asks nobody, so that an outage elsewhere restarts nothing here.
  app.get('/livez', hidden, async () => ({ status: 'ok' }))

  app.get('/readyz', hidden, async (_request, reply) => {
    const readiness = await app.readiness()
    if (readiness.status !== 'ready') reply.code(503)
    return readiness
  })

  app.get('/metrics', {
    ...hidden,
    onRequest: async (request) => {
      const expected = app.config.METRICS_TOKEN
      const given = Buffer.from(request.headers.authorization ?? '')
      const wanted = Buffer.from(`Bearer ${expected}`)
      if (expected && !(given.length === wanted.length && timingSafeEqual(given, wanted))) {
        await app.countRefusal(request)
        throw Object.assign(new MetricsForbidden(), { headers: { 'www-authenticate': 'Bearer realm="metrics"' } })
      }
    }
  }, async (_request, reply) => {
    reply.type(app.metrics.contentType)
    return app.metrics.metrics()
  })
}

export default fp(operations, { name: 'operations', encapsulate: true, decorators: { fastify: ['config', 'metrics', 'readiness', 'countRefusal'] } })
