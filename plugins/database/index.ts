// PostgreSQL, given or of our own: opens it, brings the schema up to date, offers the stores, closes it.
import fp from 'fastify-plugin'
import { Gauge } from 'prom-client'
import { createCategoryStore } from './category-store.ts'
import { createEventStore } from './event-store.ts'
import { startEmbeddedPostgres } from './embedded/server.ts'
import { createIngressStore } from './ingress-store.ts'
import { migrate } from './migrate.ts'
import { createPrivacyStore } from './privacy-store.ts'
import { openDatabase } from './query.ts'
import { createRecordingStore } from './recording-store.ts'
import { createSessionStore } from './session-store.ts'
import { createTranscriptStore } from './transcript-store.ts'
import { createUsageStore } from './usage-store.ts'
import { createWebhookStore } from './webhook-store.ts'

declare module 'fastify' {
  interface FastifyInstance {
    sessionStore: ReturnType<typeof createSessionStore>
    categoryStore: ReturnType<typeof createCategoryStore>
    privacyStore: ReturnType<typeof createPrivacyStore>
    ingressStore: ReturnType<typeof createIngressStore>
    recordingStore: ReturnType<typeof createRecordingStore>
    transcriptStore: ReturnType<typeof createTranscriptStore>
    usageStore: ReturnType<typeof createUsageStore>
    webhookStore: ReturnType<typeof createWebhookStore>
    eventStore: ReturnType<typeof createEventStore>
  }
}

export default fp(async (app) => {
  const { DATABASE_URL, DATA_DIR } = app.config
  const embedded = DATABASE_URL ? undefined : await startEmbeddedPostgres(DATA_DIR, app.log)
  const url = DATABASE_URL ?? embedded!.url
  const database = openDatabase(url, (err) => app.log.warn({ err }, 'idle database connection lost'))
  app.addHook('onClose', async () => {
    await database.close()
    await embedded?.stop()
  })
  await migrate(url)
  app.metrics.registerMetric(new Gauge({
    name: 'database_connections',
    help: 'Connections to PostgreSQL, busy and idle, and statements that wait for one',
    labelNames: ['state'] as const,
    registers: [],
    collect () { for (const [state, count] of Object.entries(database.connections())) this.set({ state }, count) }
  }))

  app.decorate('sessionStore', createSessionStore(database))
  app.decorate('categoryStore', createCategoryStore(database))
  app.decorate('privacyStore', createPrivacyStore(database))
  app.decorate('ingressStore', createIngressStore(database))
  app.decorate('recordingStore', createRecordingStore(database))
  app.decorate('transcriptStore', createTranscriptStore(database))
  app.decorate('usageStore', createUsageStore(database))
  app.decorate('webhookStore', createWebhookStore(database))
  app.decorate('eventStore', createEventStore(database))
}, { name: 'database', decorators: { fastify: ['config', 'metrics'] } })
