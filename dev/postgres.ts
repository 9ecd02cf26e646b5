// A throw-away PostgreSQL for tests and proofs, from the programs that the service brings along: on a TCP port of the loopback, with a superuser.
import { randomBytes } from 'node:crypto'
import { chmod, chown, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { makeFolder } from '../plugins/database/embedded/account.ts'
import { findPrograms } from '../plugins/database/embedded/programs.ts'
import { guard } from './guard.ts'
import { freeTcpPort } from './livekit/livekit.ts'

const STARTS_WITHIN = 10_000 // ms

/**
 * Starts an empty server whose data is worth nothing: it does not wait for the disk. It ends with this process, however that ends.
 * @returns the URL of its superuser, who may create databases
 * @throws with its log when it does not start
 */
export async function startPostgres (): Promise<{ url: string, stop: () => Promise<void> }> {
  const { account, initdb, start } = await findPrograms()
  const folder = await mkdtemp(join(tmpdir(), 'postgres-'))
  await chmod(folder, 0o711) // as root, PostgreSQL runs as another user
  const [data, secret, log] = ['data', 'password', 'log'].map((name) => join(folder, name)) as [string, string, string]
  const password = randomBytes(24).toString('hex')
  await writeFile(secret, password, { mode: 0o600 })
  await chown(secret, account.uid, account.gid)
  await makeFolder(account, data)
  await initdb(data, ['-A', 'scram-sha-256', `--pwfile=${secret}`, '--no-sync'])

  const port = await freeTcpPort()
  const output = await open(log, 'w')
  const server = await start(data, { listen_addresses: '127.0.0.1', port, unix_socket_directories: '', max_connections: 200, shared_buffers: '32MB', fsync: 'off' }, output.fd)
  await output.close()
  guard(server, folder)
  const gone = new Promise((resolve) => { server.once('exit', resolve) })
  const stop = async () => {
    server.ref() // else Node ends before the wait does
    server.kill('SIGINT') // fast: connections are cut
    await gone
    await rm(folder, { recursive: true, force: true })
  }

  const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`
  for (const giveUp = performance.now() + STARTS_WITHIN; !await answers(url); await sleep(20)) {
    if (server.exitCode === null && performance.now() < giveUp) continue
    const said = await readFile(log, 'utf8')
    await stop()
    throw new Error(`PostgreSQL does not start:\n${said}`)
  }
  return { url, stop }
}

/** Whether a server answers there. */
export async function answers (url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1000 })
  return client.connect().then(() => true, () => false).finally(() => client.end().catch(() => {}))
}
