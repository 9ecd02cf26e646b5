// The parts of a measurement: a real LiveKit, a real PostgreSQL, and the built service as a process of its own.
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { RoomServiceClient } from 'livekit-server-sdk'
import pg from 'pg'
import { freeTcpPort, startLiveKit } from '../dev/livekit/livekit.ts'
import { startDatabase, tearDown } from '../dev/prove/proof.ts'
import { startService } from '../dev/prove/service.ts'

/** Starts them; nothing is limited, logs go nowhere but are written, webhooks are on. Another `checkout` than this runs from its source. */
export async function benchParts (env: NodeJS.ProcessEnv = {}, flags: string[] = [], { checkout }: { checkout?: string } = {}) {
  const port = await freeTcpPort()
  const livekit = await startLiveKit({ log: console.error, webhookUrl: `http://127.0.0.1:${port}/api/v1/livekit/webhook`, config: { logging: { level: 'warn' } } })
  const databaseUrl = await startDatabase()
  const secret = randomBytes(32).toString('hex')
  const service = await startService({
    PORT: String(port),
    NODE_ENV: 'production',
    LIVEKIT_URL: livekit.url,
    LIVEKIT_API_KEY: livekit.apiKey,
    LIVEKIT_API_SECRET: livekit.apiSecret,
    JWT_SECRET: secret,
    DATABASE_URL: databaseUrl,
    RATE_LIMIT_PER_MINUTE: '0',
    START_LIMIT_PER_MINUTE: '0',
    LOG_LEVEL: 'info',
    ...env
  }, checkout ? { checkout, flags } : { built: true, flags })
  const sql = new pg.Client({ connectionString: databaseUrl })
  await sql.connect()
  const { rows: [row] } = await sql.query('select setting from pg_settings where name = \'data_directory\'')
  const postgresPid = Number((await readFile(`${row.setting}/postmaster.pid`, 'utf8').catch(() => '')).split('\n')[0]) || undefined
  return {
    livekit,
    service,
    databaseUrl,
    secret,
    sql,
    postgresPid,
    rooms: new RoomServiceClient(livekit.url, livekit.apiKey, livekit.apiSecret),
    async stop () {
      await sql.end()
      await service.stop()
      await livekit.stop()
      await tearDown()
    }
  }
}

/**
 * Calls as fast as `width` callers can, one after the other each, for `seconds`; ends early when `call` says that there is nothing left.
 * @returns how long each took and all of it, ms
 */
export async function callAsFast (call: (n: number) => Promise<unknown> | undefined, width: number, seconds: number): Promise<{ times: number[], took: number }> {
  const times: number[] = []
  const began = performance.now()
  const end = began + seconds * 1000
  let n = 0
  await Promise.all(Array.from({ length: width }, async () => {
    while (performance.now() < end) {
      const at = performance.now()
      const work = call(n++)
      if (!work) return
      await work
      times.push(performance.now() - at)
    }
  }))
  return { times, took: performance.now() - began }
}
