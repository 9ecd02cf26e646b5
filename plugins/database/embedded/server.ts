// The PostgreSQL of its own that the service runs when DATABASE_URL is not set (D9): started or adopted, kept to one service, stopped with it.
import { open, readFile, readlink, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import pg from 'pg'
import { run } from './account.ts'
import { findCluster, ownerOf, type Cluster } from './cluster.ts'
import { findPrograms, type Programs } from './programs.ts'
import { lockFile, newSocket, PORT, socketFile, socketInUse, urlOf } from './socket.ts'

const ONE_OWNER = 7_203_116_851 // advisory lock: one service per data folder
const STARTS_WITHIN = 30_000 // ms
const STOPS_WITHIN = 5000 // ms

export interface EmbeddedPostgres {
  url: string
  stop: () => Promise<void>
}

/**
 * Starts the private PostgreSQL in `dataDir`, or adopts the one that a killed predecessor left running there: it outlives a kill -9
 * of this process on purpose. It listens on a Unix socket alone, in a folder that only the user who runs it can enter: whoever
 * answers there is the one, while behind a port that it once had could be anybody.
 * @throws Error naming DATABASE_URL when the package with the programs is not installed, or another process uses the folder
 */
export async function startEmbeddedPostgres (dataDir: string, log: FastifyBaseLogger): Promise<EmbeddedPostgres> {
  const programs = await findPrograms(await ownerOf(dataDir))
  const cluster = await findCluster(dataDir, programs, log)
  const { owner, socket, adopted } = await reach(cluster, programs, dataDir)
  log.info({ dataDir, folder: cluster.home, adopted }, 'embedded PostgreSQL ready')

  return {
    url: urlOf(cluster, socket),
    async stop () {
      // The lock is held to the end: whoever waits for it must not come to own a server that is about to go.
      await stop(cluster, programs)
      await owner.end().catch(() => {})
      if (dirname(socket) !== cluster.home) await rm(socket, { recursive: true, force: true })
    }
  }
}

/** Gets hold of the server that runs, or else of one that is started. */
async function reach (cluster: Cluster, programs: Programs, dataDir: string): Promise<{ owner: pg.Client, socket: string, adopted: boolean }> {
  let started: Started | undefined
  for (const giveUp = performance.now() + STARTS_WITHIN; performance.now() < giveUp; await sleep(50)) {
    const socket = await socketInUse(cluster, programs.account)
    const answer = socket ? await lock(urlOf(cluster, socket)) : 'nobody'
    if (answer === 'taken') throw new Error(`DATA_DIR ${dataDir} is in use by another process: give this one its own DATA_DIR, or give both the same DATABASE_URL`)
    if (typeof answer === 'object') return { owner: answer, socket: socket!, adopted: !started || started.ended() }
    if (answer !== 'nobody' || started?.ended() === false) continue
    // A start that another server forbids is tried again: that one may not listen yet, or be about to go, or its parts outlive it by a moment.
    if (started && !/lock file "postmaster.pid" already exists|shared memory block .* still in use/.test(await started.words())) break
    if (started) await sleep(200)
    started = await start(cluster, programs)
  }
  const [, fatal] = /FATAL: +(.*)/.exec(await started?.words() ?? '') ?? []
  throw new Error(`The embedded PostgreSQL does not start${fatal ? ` (${fatal})` : ''}: see ${logOf(cluster)}, or set DATABASE_URL`)
}

/**
 * A client that holds the lock, or why there is none: `taken` by another service, `nobody` listens, `busy` with starting or stopping.
 * @throws what else the server says
 */
async function lock (url: string): Promise<pg.Client | 'taken' | 'nobody' | 'busy'> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1000 })
  client.on('error', () => {}) // it ends with the server, which the pool reports
  try {
    await client.connect()
    // A dead predecessor's connection may take a moment to be noticed.
    for (let attempt = 0; attempt < 10; attempt++) {
      const { rows } = await client.query<{ mine: boolean }>('select pg_try_advisory_lock($1) as mine', [ONE_OWNER])
      if (rows[0]!.mine) return client
      await sleep(100)
    }
    await client.end()
    return 'taken'
  } catch (error) {
    await client.end().catch(() => {})
    const { code } = error as { code?: string }
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return 'nobody' // also a socket that a killed server left behind
    if (code === undefined || /^(57P|E[A-Z]+$)/.test(code)) return 'busy' // pg's own errors, of a connection that was cut, have no code
    throw error
  }
}

interface Started {
  ended: () => boolean
  /** What was logged since. */
  words: () => Promise<string>
}

async function start (cluster: Cluster, programs: Programs): Promise<Started> {
  await forgetStranger(cluster)
  const socket = await newSocket(cluster, programs.account)
  const output = await open(logOf(cluster), 'a', 0o600)
  try {
    const { size } = await output.stat()
    // Given here and not in postgresql.conf: DATA_DIR may have been moved since.
    const server = await programs.start(cluster.data, {
      listen_addresses: '',
      port: PORT,
      unix_socket_directories: `"${socket.replaceAll('"', '""')}"`,
      unix_socket_permissions: '0700',
      max_connections: 50,
      shared_buffers: '32MB'
    }, output.fd)
    server.once('exit', () => { if (dirname(socket) !== cluster.home) rm(socket, { recursive: true, force: true }).catch(() => {}) })
    return {
      ended: () => server.exitCode !== null || server.signalCode !== null,
      words: async () => (await readFile(logOf(cluster))).subarray(size).toString()
    }
  } finally {
    await output.close()
  }
}

/** Stops the running server in its own fast way: connections are cut. By then the next one may be there, which is let alone. */
async function stop (cluster: Cluster, { account }: Programs): Promise<void> {
  const { pid } = await lockFile(cluster)
  if (!pid) return
  await run(account, '/bin/sh', ['-c', 'kill -INT "$0"', pid])
  for (const giveUp = performance.now() + STOPS_WITHIN; (await lockFile(cluster)).pid === pid; await sleep(20)) {
    if (performance.now() > giveUp) throw new Error(`The embedded PostgreSQL does not stop: see ${logOf(cluster)}`)
  }
}

/**
 * PostgreSQL does not start while the process that a stale postmaster.pid names exists and is the same user's. After a restart of a
 * container that is often another program. A server's working folder is its data (Linux shows it; elsewhere nothing is done).
 */
async function forgetStranger (cluster: Cluster): Promise<void> {
  const { pid } = await lockFile(cluster)
  const folder = await readlink(`/proc/${pid}/cwd`).catch(() => cluster.data)
  if (folder === cluster.data) return
  for (const file of [join(cluster.data, 'postmaster.pid'), `${socketFile(join(cluster.home, 'socket'))}.lock`]) await rm(file, { force: true })
}

function logOf ({ home }: Cluster): string {
  return join(home, 'postgres.log')
}
