// What Prometheus reads: one registry that every plugin adds to, and the duration of each request.
import fp from 'fastify-plugin'
import { collectDefaultMetrics, Histogram, Registry } from 'prom-client'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The answer goes on for minutes: its duration says nothing about the service. */
    endless?: boolean
  }
  interface FastifyInstance {
    metrics: Registry
    /** The histogram of requests, for what never becomes one. */
    requestDuration: Histogram<'operation' | 'method' | 'status'>
  }
}

const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

export default fp(async (app) => {
  const metrics = new Registry()
  collectDefaultMetrics({ register: metrics })
  // Gauges called totals, which Prometheus' conventions do not allow; what they count is by kind in those of the same name without it.
  for (const name of ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total']) metrics.removeSingleMetric(name)
  const duration = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'From the arrival of a request to the end of its answer',
    labelNames: ['operation', 'method', 'status'] as const,
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
    registers: [metrics]
  })

  app.decorate('metrics', metrics)
  app.decorate('requestDuration', duration)
  app.addHook('onResponse', (request, reply, done) => {
    if (request.routeOptions.config.endless && reply.statusCode < 300) return done()
    // Bounded, whatever clients send: operations are ours, unknown paths are one, odd methods are one, statuses are five.
    const { schema, url } = request.routeOptions as { schema?: { operationId?: string }, url?: string }
    duration.observe({
      operation: schema?.operationId ?? url ?? 'none',
      method: methods.has(request.method) ? request.method : 'other',
      status: `${Math.floor(reply.statusCode / 100)}xx`
    }, reply.elapsedTime / 1000)
    done()
  })
  app.addHook('onClose', async () => metrics.clear())
}, { name: 'metrics' })
