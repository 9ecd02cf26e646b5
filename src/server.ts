// The process: builds the app, listens, and stops so that nothing in flight fails.
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import closeWithGrace from 'close-with-grace'

/** How long readiness says no before the listener closes, ms: what a load balancer needs to notice. */
const NOTICE = 1000

// Whoever is the first process of a container has no default for signals: one that comes while it boots would be lost.
const SIGNALS = ['SIGTERM', 'SIGINT'] as const
const tooEarly = () => process.exit(0)
for (const signal of SIGNALS) process.on(signal, tooEarly)

try {
  if (existsSync('.env')) process.loadEnvFile()
  // OpenTelemetry has to be there before what it watches, and where nobody traces none of it is loaded.
  const { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SDK_DISABLED } = process.env
  const isTraced = OTEL_EXPORTER_OTLP_ENDPOINT && OTEL_SDK_DISABLED !== 'true'
  const tracing = isTraced ? (await import('../plugins/opentelemetry.ts')).startTracing() : undefined
  const { buildApp } = await import('./app.ts')
  const app = await buildApp({ tracing })
  closeWithGrace({ delay: 9000, logger: app.log }, async ({ err, signal }) => {
    if (err) app.log.error({ err }, 'unexpected error: stopping')
    else app.log.info({ signal }, 'stopping')
    app.readiness.drain()
    if (!err) await sleep(NOTICE)
    await app.close()
    await tracing?.stop()
  })
  for (const signal of SIGNALS) process.off(signal, tooEarly)
  await app.listen({ host: app.config.HOST, port: app.config.PORT }).catch(async (error) => {
    await app.close()
    throw error
  })
} catch (error) {
  console.error(`livekit-sessions cannot start. ${(error as Error).message}`)
  const { cause } = error as Error
  if (cause) console.error(`Cause: ${cause instanceof Error ? cause.message : String(cause)}`)
  process.exit(1)
}
