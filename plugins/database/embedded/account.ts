// Whom PostgreSQL runs as, what it is given, and which folders that user can reach: it refuses root, and is told nothing of the service's environment.
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chown, lstat, mkdir, readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

export interface Account {
  name: string
  uid: number
  gid: number
  /** Whether it is another user than the service's. */
  other: boolean
}

/**
 * The user that runs PostgreSQL: the service's own, or for a service of root's the first of postgres, _postgres (macOS) and nobody,
 * unless another one of them owns the files that are there.
 * @throws Error naming DATABASE_URL when root has none of them
 */
export async function findAccount (owner?: number): Promise<Account> {
  const [uid, gid] = [process.getuid!(), process.getgid!()]
  if (uid !== 0) return { name: `user ${uid}`, uid, gid, other: false }
  const users = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'))
  const accounts = ['postgres', '_postgres', 'nobody'].flatMap((name) => {
    const [, , uid, gid] = users.find(([user]) => user === name) ?? []
    return Number(uid) > 0 ? [{ name, uid: Number(uid), gid: Number(gid), other: true }] : []
  })
  const account = accounts.find(({ uid }) => uid === owner) ?? accounts[0]
  if (!account) throw new Error('PostgreSQL does not run as root, and there is no user "postgres" or "nobody" here: run the service as another user, or set DATABASE_URL')
  return account
}

/** Neither the service's secrets nor its working folder; node drops root's groups together with its user. */
const as = ({ uid, gid }: Account) => ({ uid, gid, cwd: '/', env: { LC_ALL: 'C', TZ: 'UTC' } })

/** Runs a program to its end. @throws with what it printed when it fails */
export async function run (account: Account, program: string, args: string[], input = ''): Promise<void> {
  const running = promisify(execFile)(program, args, as(account))
  running.child.stdin!.on('error', () => {}) // one that ends early says why itself
  running.child.stdin!.end(input)
  await running
}

/** Starts a program that outlives us and writes into the open file `output`. */
export async function start (account: Account, program: string, args: string[], output: number): Promise<ChildProcess> {
  const child = spawn(program, args, { ...as(account), detached: true, stdio: ['ignore', output, output] })
  await once(child, 'spawn')
  child.unref()
  return child
}

export async function canEnter (account: Account, folder: string): Promise<boolean> {
  return !account.other || run(account, '/bin/sh', ['-c', 'cd "$0"', folder]).then(() => true, () => false)
}

/** Whether something has this name, be it a link that leads nowhere. */
export async function exists (path: string): Promise<boolean> {
  return lstat(path).then(() => true, () => false)
}

/** A folder that nobody but the account and root can enter. */
export async function makeFolder (account: Account, folder: string): Promise<void> {
  await mkdir(folder, { mode: 0o700 })
  await chown(folder, account.uid, account.gid)
}

/** Whether nobody but the account and root can enter it. */
export async function isPrivate (account: Account, folder: string): Promise<boolean> {
  const it = await lstat(folder).catch(() => undefined)
  return it !== undefined && it.isDirectory() && it.uid === account.uid && (it.mode & 0o077) === 0
}

/** Whether the folder is the service's own user's, and no other writes into it. */
export async function isOurs (folder: string): Promise<boolean> {
  const it = await lstat(folder)
  return it.isDirectory() && it.uid === process.getuid!() && (it.mode & 0o022) === 0
}
