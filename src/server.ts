// The process: builds the app, listens, and stops so that nothing in flight fails.
import { setTimeout as sleep } from 'node:timers/promises'
import closeWithGrace from 'close-with-grace'
import { buildApp } from './app.ts'

/** How long readiness says no before the listener closes, ms: what a load balancer needs to notice. */
const NOTICE = 1000

try {
  const app = await buildApp()
  closeWithGrace({ delay: 9000, logger: app.log }, async ({ err, signal }) => {
    if (err) app.log.error({ err }, 'unexpected error: stopping')
    else app.log.info({ signal }, 'stopping')
    app.readiness.drain()
    if (!err) await sleep(NOTICE)
    await app.close()
  })
  await app.listen({ host: app.config.HOST, port: app.config.PORT })
} catch (error) {
  console.error(`livekit-sessions cannot start. ${(error as Error).message}`)
  const { cause } = error as Error
  if (cause) console.error(`Cause: ${cause instanceof Error ? cause.message : String(cause)}`)
  process.exit(1)
}
