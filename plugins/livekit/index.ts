// The LiveKit client of the process: opened once, closed with the app.
import fp from 'fastify-plugin'
import type { Rooms } from '../../src/sessions/rooms.ts'
import type { Ingress } from '../../src/sessions/ingress.ts'
import type { Egress } from '../../src/sessions/recordings.ts'
import { createLiveKit } from './client.ts'
import { createEgress } from './egress.ts'
import { createIngressCalls } from './ingress.ts'
import { createWebhookReader } from './webhooks.ts'

declare module 'fastify' {
  interface FastifyInstance {
    livekit: Rooms & { egress: Egress, ingress: Ingress, readWebhook: ReturnType<typeof createWebhookReader> }
  }
}

export default fp(async (app) => {
  const { LIVEKIT_URL, LIVEKIT_API_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET } = app.config
  const urls = (LIVEKIT_API_URL ?? LIVEKIT_URL).split(',').map((url) => url.trim())
  const livekit = createLiveKit({
    urls,
    apiKey: LIVEKIT_API_KEY,
    apiSecret: LIVEKIT_API_SECRET,
    metrics: app.metrics,
    onRepeat: (method, err) => app.log.warn({ method, err }, 'call to LiveKit repeated')
  })
  const { S3_BUCKET: bucket = '', S3_ENDPOINT: endpoint = '', S3_REGION: region, S3_ACCESS_KEY: accessKey = '', S3_SECRET_KEY: secret = '' } = app.config
  const egress = createEgress({ urls, apiKey: LIVEKIT_API_KEY, apiSecret: LIVEKIT_API_SECRET, storage: { bucket, endpoint, region, accessKey, secret } })
  const ingress = createIngressCalls({ urls, apiKey: LIVEKIT_API_KEY, apiSecret: LIVEKIT_API_SECRET })
  app.addHook('onClose', () => Promise.all([livekit.close(), egress.close(), ingress.close()]))
  app.decorate('livekit', { ...livekit, egress, ingress, readWebhook: createWebhookReader(LIVEKIT_API_KEY, LIVEKIT_API_SECRET) })
}, { name: 'livekit', decorators: { fastify: ['config', 'metrics'] } })
