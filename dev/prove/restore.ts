// `npm run prove:restore`: the database is lost and restored from a dump while calls go on, and its disk is full; rows and rooms agree again within two intervals.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { makeFolder } from '../../plugins/database/embedded/account.ts'
import { findPrograms } from '../../plugins/database/embedded/programs.ts'
import { guard } from '../guard.ts'
import { freeTcpPort } from '../livekit/livekit.ts'
import { answers } from '../postgres.ts'
import { joinRoom } from '../livekit/participant.ts'
import { claim, closing, neighbourhood, prove, seconds, sleep, until } from './proof.ts'
import { startTraffic, statuses } from './traffic.ts'

const run = promisify(execFile)
const INTERVAL = 5 // s, between two looks at a session

/** A server of the installed PostgreSQL: pg_dump takes no server that is newer than itself, and that which the service brings along has none. */
async function installedPostgres (folder: string) {
  const { stdout } = await run('pg_config', ['--bindir']).catch(() => { throw new Error('PostgreSQL with pg_dump is not installed') })
  const { account } = await findPrograms()
  await chmod(folder, 0o711)
  const data = join(folder, 'data')
  await makeFolder(account, data)
  await run(join(stdout.trim(), 'initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync'], { uid: account.uid, gid: account.gid, cwd: '/' })
  const port = await freeTcpPort()
  const start = () => spawn(join(stdout.trim(), 'postgres'), ['-D', data, '-p', String(port), '-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=', '-c', 'fsync=off'], { uid: account.uid, gid: account.gid, cwd: '/', stdio: 'ignore' })
  let server = start()
  guard(server, folder)
  closing(async () => {
    if (server.exitCode === null && server.kill('SIGINT')) await once(server, 'exit')
  })
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  if (await until(() => answers(url), 10_000) === Infinity) throw new Error('PostgreSQL does not start')
  return {
    url,
    /** Starts it again if it has ended, as whatever runs it does. @returns whether it had */
    keepUp (): boolean {
      if (server.exitCode === null) return false
      server = start()
      return true
    }
  }
}

await prove({
  async 'PostgreSQL is wiped and restored from a dump, with calls under way' () {
    const folder = await mkdtemp(join(tmpdir(), 'restore-'))
    closing(() => rm(folder, { recursive: true, force: true }))
    const { url: databaseUrl } = await installedPostgres(folder)
    const { livekit, service, query, rooms, call, start, end, worker } = await neighbourhood({ databaseUrl, env: { RECONCILE_INTERVAL: String(INTERVAL), DEPARTURE_TIMEOUT: '5' } })
    await worker('accept')
    const dump = join(folder, 'sessions.dump')

    const begin = async (user: string) => {
      const { room_name: room, token } = await start(user)
      return { user, room, participant: await joinRoom({ url: livekit.url, token }) }
    }
    const stay = await Promise.all(['anna', 'bert', 'carl'].map(begin))
    const leave = await Promise.all(['dora', 'emil'].map(begin))
    const stands = async (room: string) => (await rooms.listRooms([room])).length > 0
    const active = async ({ user, room }: { user: string, room: string }) => {
      const { status, body } = await call(user, 'GET', `/voice-sessions/${room}/status`)
      return status === 200 && body.active === true && body.agent_connected === true
    }
    if (await until(async () => (await Promise.all([...stay, ...leave].map(active))).every(Boolean), 20_000) === Infinity) throw new Error('the calls do not come about')
    await run('pg_dump', ['--format=custom', `--file=${dump}`, databaseUrl])

    // What the dump knows nothing of: two ends, and two starts.
    for (const { user, room } of leave) await end(user, room)
    const later = await Promise.all(['fred', 'gina'].map(begin))
    await query('drop schema public cascade')
    await query('create schema public')
    const meanwhile = await call('anna', 'GET', `/voice-sessions/${stay[0]!.room}/status`)
    claim('without a database nobody is told anything wrong', meanwhile.status === 503 || meanwhile.status === 500, `${meanwhile.status} ${meanwhile.body.code}`)
    await run('pg_restore', ['--no-owner', `--dbname=${databaseUrl}`, dump])
    const restored = performance.now()

    const agree = async () => {
      const live = await query<{ room_name: string }>('select room_name from sessions where state <> \'ended\'')
      return live.length === stay.length && (await Promise.all(live.map(({ room_name: room }) => stands(room)))).every(Boolean)
    }
    const took = await until(agree, 60_000)
    claim('every row that is live has its room, within two intervals', took <= 2 * INTERVAL * 1000, seconds(took))
    claim('calls that the dump knew of went on', (await Promise.all(stay.map(active))).every(Boolean), `${stay.length}`)
    const ended = await query('select end_reason, count(*)::int as count from sessions where state = \'ended\' group by 1')
    claim('what had ended after the dump is ended again', ended.length === 1 && ended[0].count === leave.length, JSON.stringify(ended))
    const again = await start('hugo')
    claim('starts work', (await end('hugo', again.room_name)).status === 200)
    for (const { user, room } of stay) await end(user, room)

    // Nobody can tell the rooms of lost rows from those of somebody else: LiveKit closes them when their users have gone.
    claim('rooms that no row knows of are left alone while somebody is in them', (await Promise.all(later.map(({ room }) => stands(room)))).every(Boolean))
    await Promise.all(later.map(({ participant }) => participant.leave()))
    const gone = await until(async () => (await rooms.listRooms()).length === 0, 30_000)
    claim('and are gone soon after their users', gone < Infinity, seconds(gone))
    claim('the service ran all the time', (await fetch(`${service.url}/readyz`)).status === 200, `${seconds(performance.now() - restored)} since`)
  },

  async 'the disk of PostgreSQL is full for ten seconds' () {
    if (process.getuid!() !== 0) throw new Error('NOT RUN: a small disk is mounted, which takes root')
    const folder = await mkdtemp(join(tmpdir(), 'disk-'))
    closing(() => rm(folder, { recursive: true, force: true }))
    await run('mount', ['-t', 'tmpfs', '-o', 'size=150m', 'tmpfs', folder])
    closing(() => run('umount', ['--lazy', folder]))
    const { url: databaseUrl, keepUp } = await installedPostgres(folder)
    const { service, secret, query, rooms } = await neighbourhood({ databaseUrl, env: { RECONCILE_INTERVAL: String(INTERVAL) } })
    const traffic = startTraffic({ url: service.url, secret, users: 20, pause: 20 })
    await sleep(2000)

    const ballast = join(folder, 'ballast')
    const full = performance.now()
    const keepFull = async () => {
      const { bavail, bsize } = await statfs(folder)
      if (bavail > 0) await writeFile(ballast, Buffer.alloc(bavail * bsize), { flag: 'a' }).catch(() => {})
    }
    let restarts = 0
    while (performance.now() - full < 10_000) {
      await keepFull()
      if (keepUp()) restarts++
      await sleep(200)
    }
    await rm(ballast)
    const freed = performance.now()
    const isWell = () => { if (keepUp()) restarts++; return traffic.since(performance.now() - 1000).length > 5 && traffic.since(performance.now() - 1000).every(({ status }) => status === 200) }
    const healed = await until(isWell, 60_000)
    const seen = traffic.since(full).filter(({ at }) => at < freed)
    claim('requests that need a row are 503 while it is full', seen.some(({ status }) => status === 503) && seen.every(({ status }) => status === 200 || status === 503), `${statuses(seen)}; PostgreSQL ended ${restarts} times`)
    claim('all is well again soon after', healed < Infinity, seconds(healed))
    await traffic.stop()
    const left = await until(async () => (await rooms.listRooms()).length === 0 && (await query('select 1 from sessions where state <> \'ended\'').catch(() => [1])).length === 0, 60_000)
    claim('no room and no row is left', left < Infinity, seconds(left))
    claim('every session that was given is on record', (await query('select count(*)::int as count from sessions where room_name = any($1)', [[...traffic.started]]))[0].count === traffic.started.size, `${traffic.started.size}`)
  }
})
