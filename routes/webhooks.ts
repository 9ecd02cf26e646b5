// What LiveKit tells of its rooms: signed events, each applied once, answered within milliseconds.
import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { Counter, Histogram } from 'prom-client'

const BODY_LIMIT = 64 * 1024

const webhooks: FastifyPluginAsync = async (app) => {
  const received = new Counter({ name: 'livekit_webhooks_total', help: 'Webhooks by event and what became of them', labelNames: ['event', 'outcome'] as const, registers: [app.metrics] })
  // LiveKit tells the time of an event in whole seconds.
  const lag = new Histogram({ name: 'livekit_webhook_lag_seconds', help: 'From an event in LiveKit to its webhook here', buckets: [1, 2, 5, 10, 15, 30, 60], registers: [app.metrics] })

  // LiveKit signs the bytes: they must stay as they came. Fastify would answer its media type with 415, and LiveKit never repeats a 4xx.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(['application/webhook+json', 'application/json'], { parseAs: 'buffer', bodyLimit: BODY_LIMIT }, (_request, body, done) => done(null, body))

  app.post('/webhook', { bodyLimit: BODY_LIMIT, schema: { hide: true }, config: { rateLimit: false } }, async (request) => {
    const event = await app.livekit.readWebhook(request.body as Buffer, request.headers.authorization).catch(async (error) => {
      await app.countRefusal(request) // whoever is not LiveKit may not try for ever
      throw error
    })
    const outcome = event.egress ? await app.recordings.apply(event) : await app.lifecycle.apply(event)
    received.inc({ event: outcome === 'ignored' ? 'other' : event.type, outcome })
    if (outcome !== 'ignored') lag.observe(Math.max(0, (Date.now() - event.at.getTime()) / 1000))
    return { outcome }
  })
}

export default fp(webhooks, { name: 'webhooks', encapsulate: true, dependencies: ['errors'], decorators: { fastify: ['livekit', 'lifecycle', 'recordings', 'metrics', 'countRefusal'] } })
