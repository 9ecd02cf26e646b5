// The files of the embedded PostgreSQL: made once, whole or not at all, also by two services that start at the same time.
import { randomBytes } from 'node:crypto'
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, readlink, realpath, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { FastifyBaseLogger } from 'fastify'
import { canEnter, exists, isOurs, makeFolder } from './account.ts'
import { copyFirstRelease, hasFirstRelease } from './first-release.ts'
import type { Programs } from './programs.ts'
import { systemFolder } from './system-folder.ts'

export interface Cluster {
  /** The service's folder, with everything below, the password and the log. */
  home: string
  /** PostgreSQL's own folder. */
  data: string
  /** Of the role `service`, who owns the database `sessions` and is nothing else. */
  password: string
}

/** Whose files the cluster of DATA_DIR has, if there is one: as root, PostgreSQL goes on as the user that it began as. */
export async function ownerOf (dataDir: string): Promise<number | undefined> {
  const cluster = stat(join(dataDir, 'database', 'cluster')).catch(() => stat(join(dataDir, 'postgres')))
  return cluster.then(({ uid }) => uid, () => undefined)
}

/**
 * The cluster of DATA_DIR: its folder `database`, or where the link of that name leads.
 * @throws Error saying what to do when it cannot be made or used
 */
export async function findCluster (dataDir: string, programs: Programs, log: FastifyBaseLogger): Promise<Cluster> {
  await mkdir(dataDir, { recursive: true })
  const folder = await realpath(dataDir)
  const name = join(folder, 'database')
  if (!await exists(name)) {
    log.info({ dataDir, fromFirstRelease: await hasFirstRelease(folder) }, 'making the embedded PostgreSQL, once')
    await make(name, programs)
  }

  const home = await realpath(name).catch(async () => {
    throw new Error(`${name} leads to ${await readlink(name)}, which is gone: bring it back, or delete the link to begin with an empty database`)
  })
  if (!await isOurs(home)) throw new Error(`${home} has to belong to the user that runs the service, and no other user may write into it`)
  if (!await canEnter(programs.account, home)) throw new Error(`The embedded PostgreSQL runs as the user ${programs.account.name}, who cannot enter ${home}: move DATA_DIR, or set DATABASE_URL`)
  return { home, data: join(home, 'cluster'), password: await readFile(join(home, 'password'), 'utf8') }
}

/**
 * Everything is made in a draft. The last step gives it its name, and fails when somebody else's has it by then:
 * a folder cannot be renamed onto one that is not empty, nor a link be made where something is.
 */
async function make (name: string, programs: Programs): Promise<void> {
  let draft = ''
  try {
    draft = await mkdtemp(join(await placeFor(dirname(name), programs), 'database-'))
    await writeFile(join(draft, 'made-for'), `${dirname(name)}\n`) // for whoever finds one in the system's folder
    await fill(draft, dirname(name), programs)
    if (dirname(draft) === dirname(name)) await rename(draft, name)
    else await symlink(draft, name)
  } catch (error) {
    if (draft) await rm(draft, { recursive: true, force: true })
    if (!await exists(name)) throw new Error(`The embedded PostgreSQL cannot be made in ${dirname(name)}: set DATABASE_URL, or see the cause`, { cause: error })
  }
}

/**
 * DATA_DIR. For a service of root's, PostgreSQL runs as another user: an empty DATA_DIR is opened for passing through,
 * one with something in it is not ours to open, and root's home even less. Then the cluster lives in the system's folder.
 */
async function placeFor (dataDir: string, { account }: Programs): Promise<string> {
  if (await canEnter(account, dataDir)) return dataDir
  if (await canEnter(account, dirname(dataDir)) && (await readdir(dataDir)).length === 0) {
    await chmod(dataDir, (await lstat(dataDir)).mode | 0o011)
    return dataDir
  }
  return systemFolder()
}

async function fill (draft: string, dataDir: string, programs: Programs): Promise<void> {
  const { account } = programs
  await chmod(draft, account.other ? 0o711 : 0o700)
  const data = join(draft, 'cluster')
  for (const folder of [data, join(draft, 'socket')]) await makeFolder(account, folder)
  const password = randomBytes(24).toString('hex')
  await writeFile(join(draft, 'password'), password, { mode: 0o600, flush: true })
  if (await hasFirstRelease(dataDir)) await copyFirstRelease(dataDir, data, password, programs)
  else {
    await programs.initdb(data, ['-A', 'reject'])
    await programs.single(data, 'postgres', `create role service login password '${password}'\ncreate database sessions owner service\n`)
  }
  // Nobody comes in as the superuser, who has no line here.
  await writeFile(join(data, 'pg_hba.conf'), 'local sessions service scram-sha-256\n', { flush: true })
}
