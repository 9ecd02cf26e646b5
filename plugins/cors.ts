// Which web pages may call the service: those of CORS_ORIGINS, nobody's when it is not set.
import cors from '@fastify/cors'
import fp from 'fastify-plugin'

export default fp(async (app) => {
  const { CORS_ORIGINS } = app.config
  if (!CORS_ORIGINS) return

  await app.register(cors, {
    origin: CORS_ORIGINS.split(',').map((origin) => new URL(origin.trim()).origin),
    methods: ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE'],
    allowedHeaders: ['Authorization', 'Content-Type', 'Idempotency-Key', 'Last-Event-ID', 'X-Request-Id'],
    exposedHeaders: ['Idempotent-Replayed', 'Retry-After', 'X-Request-Id'],
    maxAge: 600,
    // Strict would answer an odd OPTIONS with text/plain; here it gets the empty answer to a preflight.
    strictPreflight: false
  })
}, { name: 'cors', decorators: { fastify: ['config'] } })
