// The Unix socket of the embedded PostgreSQL: where a new server's goes, where the running one's is, and the URL that leads there.
import { chown, mkdtemp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isPrivate, type Account } from './account.ts'
import type { Cluster } from './cluster.ts'

/** Nothing listens on TCP: a part of the socket's name. */
export const PORT = 5432
const PATH_LIMIT = 103 // bytes of a socket's path: sun_path has 104 on macOS and 108 on Linux, its NUL included

export const socketFile = (folder: string) => join(folder, `.s.PGSQL.${PORT}`)

/** The folder for a new server's socket: the cluster's own, or a private one with a short name when that makes too long a path. */
export async function newSocket ({ home }: Cluster, account: Account): Promise<string> {
  const own = join(home, 'socket')
  if (Buffer.byteLength(socketFile(own)) <= PATH_LIMIT) return own
  const short = await mkdtemp('/tmp/livekit-sessions-') // with mode 0700
  await chown(short, account.uid, account.gid)
  return short
}

/** The folder of the running server's socket. Of one that is gone it may be anybody's by now: then there is none. */
export async function socketInUse (cluster: Cluster, account: Account): Promise<string | undefined> {
  const { socket } = await lockFile(cluster)
  return socket && await isPrivate(account, socket) ? socket : undefined
}

/** What postmaster.pid says of the server that runs, or ran: https://www.postgresql.org/docs/current/storage-file-layout.html */
export async function lockFile ({ data }: Cluster): Promise<{ pid: string, socket: string }> {
  const [pid = '', , , , socket = ''] = (await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')
  return { pid, socket }
}

/** pg takes a host that begins with a slash for the folder of a socket. What the URL does not say it would take from PGPORT and PGSSLMODE. */
export function urlOf ({ password }: Cluster, socket: string): string {
  return `postgres://service:${password}@localhost:${PORT}/sessions?host=${encodeURIComponent(socket)}&sslmode=disable`
}
