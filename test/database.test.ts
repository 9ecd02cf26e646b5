// The embedded PostgreSQL and the migrations: made once, adopted after a crash, one owner, many migrators.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import t from 'tap'
import { startLiveKit } from '../dev/livekit/livekit.ts'
import { startService } from '../dev/prove/service.ts'
import { signUserToken } from '../dev/demo/token.ts'
import { startEmbeddedPostgres } from '../plugins/database/embedded.ts'
import { migrate } from '../plugins/database/migrate.ts'
import { databaseFor, jwtSecret, queryFor } from './helper.ts'

const log = pino({ level: 'silent' })

async function dataDir (t: { teardown: (f: () => Promise<void>) => void }) {
  const folder = await mkdtemp(join(tmpdir(), 'sessions-data-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

t.test('eight instances that migrate an empty database at once all come up', async (t) => {
  const url = await databaseFor(t)
  await Promise.all(Array.from({ length: 8 }, () => migrate(url)))
  const query = await queryFor(t, url)
  t.ok((await query('select version from schema_version')).length >= 1)
  t.same(await query('select * from sessions'), [])
})

t.test('a second owner of DATA_DIR is refused by name, and the first one goes on', async (t) => {
  const folder = await dataDir(t)
  const first = await startEmbeddedPostgres(folder, log)
  t.teardown(() => first.stop().catch(() => {}))
  await t.rejects(startEmbeddedPostgres(folder, log), { message: /DATA_DIR .* is in use by another process: .*DATABASE_URL/ })
  const query = await queryFor(t, first.url)
  t.same(await query('select 1 as one'), [{ one: 1 }])
})

t.test('killed, the service finds its database and its sessions again', async (t) => {
  const folder = await dataDir(t)
  const livekit = await startLiveKit()
  t.teardown(() => livekit.stop())
  const env = { LIVEKIT_URL: livekit.url, LIVEKIT_API_KEY: livekit.apiKey, LIVEKIT_API_SECRET: livekit.apiSecret, JWT_SECRET: jwtSecret, DATA_DIR: folder }
  const headers = { authorization: `Bearer ${signUserToken(jwtSecret, { sub: 'alice' })}` }

  const first = await startService(env)
  await t.rejects(startService(env), { message: /DATA_DIR .* is in use by another process/ })
  const { room_name: room } = await (await fetch(`${first.url}/api/v1/voice-sessions/start`, { method: 'POST', headers })).json() as { room_name: string }
  await first.kill()

  const second = await startService(env)
  t.match(second.log(), /"adopted":true/)
  t.match(await (await fetch(`${second.url}/api/v1/voice-sessions/active`, { headers })).json(), { sessions: [{ room_name: room }] })
  t.equal(await second.stop(), 0)

  const third = await startService(env)
  t.match(third.log(), /"adopted":false/, 'it was stopped with the service')
  t.equal(await third.stop(), 0)
})
