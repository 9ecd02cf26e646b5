// What sends outgoing webhooks: opened once, closed with the app.
import fp from 'fastify-plugin'
import { Counter, Histogram } from 'prom-client'
import type { OutboxMetrics, WebhookSender } from '../../src/sessions/outbox.ts'
import { refusal } from './addresses.ts'
import { createSender } from './sender.ts'

declare module 'fastify' {
  interface FastifyInstance {
    webhookSender: WebhookSender & {
      /** Why webhooks are not sent to this address; undefined when they are. */
      refusal: (url: string) => string | undefined
      metrics: OutboxMetrics
    }
  }
}

export default fp(async (app) => {
  const allowPrivate = app.config.WEBHOOK_ALLOW_PRIVATE
  const sender = createSender({ allowPrivate })
  app.addHook('onClose', () => sender.close())

  const registers = [app.metrics]
  const attempts = new Counter({ name: 'webhook_attempts_total', help: 'Attempts to deliver an outgoing webhook, by what became of the message', labelNames: ['outcome'] as const, registers })
  // From zero: Prometheus sees no rise in a series that begins with its first message.
  for (const outcome of ['delivered', 'retried', 'dead']) attempts.inc({ outcome }, 0)
  const duration = new Histogram({ name: 'webhook_attempt_seconds', help: 'From the lookup of an endpoint to its answer', buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10], registers })
  app.decorate('webhookSender', {
    ...sender,
    refusal: (url) => refusal(url, allowPrivate),
    metrics: {
      attempted (outcome, ms) {
        attempts.inc({ outcome })
        duration.observe(ms / 1000)
      }
    }
  })
}, { name: 'webhook-sender', decorators: { fastify: ['config', 'metrics'] } })
