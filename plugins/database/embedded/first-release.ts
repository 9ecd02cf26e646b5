// The database that release 0.1.0 left in DATA_DIR, copied into a cluster as it is now: its owner was the superuser, and listened on a port.
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { exists, run } from './account.ts'
import type { Programs } from './programs.ts'

export async function hasFirstRelease (dataDir: string): Promise<boolean> {
  return exists(join(dataDir, 'postgres', 'PG_VERSION'))
}

// The superuser has its own name back, which a session that is its own cannot do, and `service` is made anew.
const inItsDatabase = (password: string) => `
create role conversion superuser
set session authorization conversion
alter role service rename to postgres
create role service login password '${password}'
do $$ declare it record; begin for it in select 'table ' || oid::regclass as what from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' union all select 'function ' || oid::regprocedure from pg_proc where pronamespace = 'public'::regnamespace loop execute 'alter ' || it.what || ' owner to service'; end loop; end $$
`
const besideIt = `
drop role conversion
alter database postgres rename to sessions
alter database sessions owner to service
create database postgres
`

/**
 * Copies the old cluster to the empty folder `data` and changes the copy. The original is only read.
 * @throws when its server runs
 */
export async function copyFirstRelease (dataDir: string, data: string, password: string, programs: Programs): Promise<void> {
  const old = join(dataDir, 'postgres')
  await mustRest(old, programs)
  await run(programs.account, '/bin/cp', ['-Rp', `${old}/.`, data])
  await mustRest(old, programs)
  await rm(join(data, 'postmaster.pid'), { force: true })
  await programs.single(data, 'postgres', inItsDatabase(password))
  await programs.single(data, 'template1', besideIt)
}

async function mustRest (old: string, { account }: Programs): Promise<void> {
  const [pid = ''] = (await readFile(join(old, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')
  const runs = pid !== '' && await run(account, '/bin/sh', ['-c', 'kill -0 "$0"', pid]).then(() => true, () => false)
  if (runs) throw new Error(`its database of release 0.1.0 is still run by process ${pid}: stop that service, or end that process (kill -INT ${pid})`)
}
