// What the demo leaves for `npm run token`: found by its own user, and nothing that another one could have prepared is written to.
import { execFile } from 'node:child_process'
import { chmod, lstat, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { claimsOf, jwtSecret } from '../helper.ts'

const cache = await mkdtemp(join(tmpdir(), 'sessions-cache-'))
t.teardown(() => rm(cache, { recursive: true }))
process.env.XDG_CACHE_HOME = cache
const { leaveDemo, removeDemo } = await import('../../dev/demo/demo-file.ts')
const folder = join(cache, 'livekit-sessions', 'demo')

async function token (...args: string[]) {
  const { JWT_SECRET, ...env } = process.env
  return promisify(execFile)(process.execPath, ['--import=tsx', fileURLToPath(new URL('../../dev/demo/token.ts', import.meta.url)), ...args], { env })
}

t.test('the token script signs for the demo that runs', async (t) => {
  await leaveDemo({ address: 'http://127.0.0.1:3000', secret: jwtSecret })
  t.equal((await lstat(folder)).mode & 0o777, 0o700)
  t.equal((await lstat(join(folder, 'running.json'))).mode & 0o777, 0o600)
  const { stdout } = await token('--sub', 'bob')
  t.match(claimsOf(stdout), { sub: 'bob', email: 'bob@example.com' })
  await removeDemo()
  await t.rejects(token('--sub', 'bob'), { message: /No demo is running here/ })
})

t.test('a folder that others can write into is not used', async (t) => {
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder)
  await chmod(folder, 0o777)
  await t.rejects(leaveDemo({ address: '', secret: jwtSecret }), { message: /has to belong to you/ })
  t.same(await readdir(folder), [])
})
