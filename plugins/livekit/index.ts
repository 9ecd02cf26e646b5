// The LiveKit client of the process: opened once, closed with the app.
import fp from 'fastify-plugin'
import type { Rooms } from '../../src/sessions/rooms.ts'
import { createLiveKit } from './client.ts'
import { createWebhookReader } from './webhooks.ts'

declare module 'fastify' {
  interface FastifyInstance {
    livekit: Rooms & { readWebhook: ReturnType<typeof createWebhookReader> }
  }
}

export default fp(async (app) => {
  const { LIVEKIT_URL, LIVEKIT_API_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET } = app.config
  const livekit = createLiveKit({
    urls: (LIVEKIT_API_URL ?? LIVEKIT_URL).split(',').map((url) => url.trim()),
    apiKey: LIVEKIT_API_KEY,
    apiSecret: LIVEKIT_API_SECRET,
    metrics: app.metrics,
    onRepeat: (method, err) => app.log.warn({ method, err }, 'call to LiveKit repeated')
  })
  app.addHook('onClose', () => livekit.close())
  app.decorate('livekit', { ...livekit, readWebhook: createWebhookReader(LIVEKIT_API_KEY, LIVEKIT_API_SECRET) })
}, { name: 'livekit', decorators: { fastify: ['config', 'metrics'] } })
