// npm run prove:failover: two LiveKit nodes on one Redis, two services, two workers, one PostgreSQL; each is killed, PostgreSQL cut off, in the middle of calls.
import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { RoomServiceClient } from 'livekit-server-sdk'
import pg from 'pg'
import { signUserToken } from '../demo/token.ts'
import { startFaultProxy } from '../faults/fault-proxy.ts'
import { freeTcpPort, startLiveKit } from '../livekit/livekit.ts'
import { disposeParticipants, joinRoom } from '../livekit/participant.ts'
import { startTestWorker } from '../livekit/test-worker.ts'
import { startPostgres } from '../postgres.ts'
import { claim, prove, seconds, sleep, until } from './proof.ts'
import { startRedis } from './redis.ts'
import { startService, type Service } from './service.ts'

const CALLERS = 8
const PROBE_EVERY = 100 // ms

const closers: Array<() => unknown> = []
const closing = <T>(thing: T, close: (thing: T) => unknown): T => {
  closers.unshift(() => close(thing))
  return thing
}

/** A TCP port that leads to the first of the others that answers, as a balancer in front of several nodes does. */
async function startBalancer (ports: number[]) {
  const server = createServer((client) => {
    client.on('error', () => {})
    const to = ([port, ...rest]: number[]) => {
      if (port === undefined) {
        client.destroy()
        return
      }
      const upstream = connect(port, '127.0.0.1')
      const next = () => to(rest)
      upstream.once('error', next).once('connect', () => {
        upstream.off('error', next).on('error', () => {})
        client.pipe(upstream).pipe(client)
        upstream.once('close', () => client.destroy())
        client.once('close', () => upstream.destroy())
      })
    }
    to(ports)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => server.close() }
}

/** A replica of the Redis on `port`, and three Sentinels that put it in its place once two of them agree that the other is gone. */
async function startSentinels (port: number, folder: string) {
  const replicaPort = await freeTcpPort()
  const replica = closing(spawn('redis-server', ['--port', String(replicaPort), '--bind', '127.0.0.1', '--save', '', '--dir', folder, '--replicaof', '127.0.0.1', String(port)], { stdio: 'ignore' }), (one) => one.kill('SIGKILL'))
  await once(replica, 'spawn')
  const ports = [await freeTcpPort(), await freeTcpPort(), await freeTcpPort()]
  for (const one of ports) {
    const file = join(folder, `sentinel-${one}.conf`)
    await writeFile(file, [`port ${one}`, 'bind 127.0.0.1', `dir ${folder}`, `sentinel monitor calls 127.0.0.1 ${port} 2`, 'sentinel down-after-milliseconds calls 2000', 'sentinel failover-timeout calls 6000', ''].join('\n'))
    closing(spawn('redis-server', [file, '--sentinel'], { stdio: 'ignore' }), (sentinel) => sentinel.kill('SIGKILL'))
  }
  const ask = (at: number, ...question: string[]) => promisify(execFile)('redis-cli', ['-p', String(at), ...question]).then(({ stdout }) => stdout, () => '')
  const agreed = async () => (await Promise.all(ports.map((one) => ask(one, 'sentinel', 'ckquorum', 'calls')))).every((answer) => answer.startsWith('OK 3')) &&
    /slave0:.*state=online/.test(await ask(port, 'info', 'replication')) && (await ask(ports[0]!, 'sentinel', 'replicas', 'calls')).includes(String(replicaPort))
  if (await until(agreed, 30_000) === Infinity) throw new Error('the Sentinels do not find each other')
  return { sentinel_master_name: 'calls', sentinel_addresses: ports.map((one) => `127.0.0.1:${one}`) }
}

async function stage ({ sentinels = false } = {}) {
  const redisPort = await freeTcpPort()
  const redisData = closing(await mkdtemp(join(tmpdir(), 'failover-')), (folder) => rm(folder, { recursive: true, force: true }))
  const state = { redis: await startRedis(redisPort, redisData) }
  closers.unshift(() => state.redis.kill('SIGKILL'))
  const found = sentinels && await startSentinels(redisPort, redisData)
  const ways = await Promise.all([0, 1].map(async () => closing(await startFaultProxy({ target: { host: '127.0.0.1', port: redisPort } }), (proxy) => proxy.stop())))
  const ports = [await freeTcpPort(), await freeTcpPort()]
  const [apiSecret, jwtSecret] = [randomBytes(32).toString('hex'), randomBytes(32).toString('hex')]
  const nodes = await Promise.all(ways.map(async ({ port }) => closing(await startLiveKit({
    apiSecret,
    config: { redis: found || { address: `127.0.0.1:${port}` }, webhook: { api_key: 'devkey', urls: ports.map((one) => `http://127.0.0.1:${one}/api/v1/livekit/webhook`) } }
  }), (node) => node.stop())))
  const edge = closing(await startBalancer(nodes.map(({ port }) => port)), (one) => one.close())

  const database = closing(await startPostgres(), (postgres) => postgres.stop())
  const { port: databasePort } = new URL(database.url)
  const wayToDatabase = closing(await startFaultProxy({ target: { host: '127.0.0.1', port: Number(databasePort) } }), (proxy) => proxy.stop())
  const viaProxy = new URL(database.url)
  viaProxy.port = String(wayToDatabase.port)

  const serve = (port: number) => startService({
    PORT: String(port),
    LIVEKIT_URL: edge.url,
    LIVEKIT_API_URL: nodes.map(({ url }) => url).join(','),
    LIVEKIT_API_KEY: 'devkey',
    LIVEKIT_API_SECRET: apiSecret,
    JWT_SECRET: jwtSecret,
    DATABASE_URL: viaProxy.href,
    RATE_LIMIT_PER_MINUTE: '0',
    START_LIMIT_PER_MINUTE: '0',
    MAX_SESSIONS_PER_USER: '1000',
    DEPARTURE_TIMEOUT: '5', // so that a room without its user is soon closed
    RECONCILE_INTERVAL: '5',
    LOG_LEVEL: 'warn'
  })
  const services: Service[] = [await serve(ports[0]!), await serve(ports[1]!)]
  closers.unshift(() => Promise.all(services.map((service) => service.stop())))
  const workers = await Promise.all(nodes.map(async ({ url }) => closing(await startTestWorker({ url, apiKey: 'devkey', apiSecret, agentName: 'voice-agent', behaviour: 'accept' }), (worker) => worker.stop().catch(() => {}))))
  const sql = closing(new pg.Client({ connectionString: database.url }), (client) => client.end())
  sql.on('error', () => {})
  await sql.connect()

  /** A call to the first service that takes it. */
  const call = async (user: string, method: string, path: string, body?: object): Promise<{ status: number, body: any }> => {
    for (const { url } of services) {
      try {
        const response = await fetch(`${url}/api/v1${path}`, { method, headers: { authorization: `Bearer ${signUserToken(jwtSecret, { sub: user })}`, ...(body && { 'content-type': 'application/json' }) }, body: body && JSON.stringify(body) })
        return { status: response.status, body: await response.json() }
      } catch {}
    }
    return { status: 0, body: {} }
  }
  return {
    state,
    redisPort,
    redisData,
    ways,
    nodes,
    services,
    workers,
    wayToDatabase,
    call,
    edge,
    rooms: nodes.map(({ url }) => new RoomServiceClient(url, 'devkey', apiSecret)),
    query: async (text: string) => (await sql.query(text)).rows as any[]
  }
}

interface Caller { room: string, lost: string, killed: boolean, kill: () => Promise<void> }
type Stage = Awaited<ReturnType<typeof stage>>
const table: Array<Record<string, unknown>> = []

/** Calls under way and starts all the time; then `strike`. Which calls live on, how long starts fail, what is left when all have ended. */
async function during (what: string, strike: (stage: Stage, callers: Caller[]) => Promise<unknown>, { restore, settle = 30_000, sentinels = false }: { restore?: (stage: Stage) => Promise<void>, settle?: number, sentinels?: boolean } = {}) {
  const all = await stage({ sentinels })
  const { call, query, rooms, edge } = all
  const there = async (room: string) => {
    const { status, body } = await call(room.split('-')[2]!, 'GET', `/voice-sessions/${room}/status`)
    return status === 200 && body.active === true && body.agent_connected === true && body.participants === 2
  }
  const callers = await Promise.all(Array.from({ length: CALLERS }, async (_, n) => {
    const { body } = await call(`caller${n}`, 'POST', '/voice-sessions/start')
    const participant = await joinRoom({ url: edge.url, token: body.token, publish: true, killable: n < 2 })
    const caller: Caller = { room: body.room_name, lost: '', killed: false, async kill () { caller.killed = true; await participant.kill() } }
    participant.disconnected.then((reason) => { caller.lost = reason })
    return caller
  }))
  if (await until(async () => (await Promise.all(callers.map(({ room }) => there(room)))).every(Boolean), 30_000) === Infinity) throw new Error('the calls do not come about')

  const probes: Array<{ at: number, status: number, took: number }> = []
  const over = new AbortController()
  const probing = (async () => {
    while (!over.signal.aborted) {
      const began = performance.now()
      const { status, body } = await call('probe', 'POST', '/voice-sessions/start')
      probes.push({ at: began, status, took: performance.now() - began })
      if (status === 200) await call('probe', 'DELETE', `/voice-sessions/${body.room_name}`)
      await sleep(PROBE_EVERY)
    }
  })()
  await sleep(1000)
  const struck = performance.now()
  await strike(all, callers)
  if (restore) await restore(all)
  await sleep(8000)
  await until(() => probes.slice(-20).every(({ status }) => status === 200), settle)
  const failed = probes.filter(({ at, status }) => at >= struck && status !== 200)
  const normal = failed.length === 0 ? 0 : Math.max(...failed.map(({ at, took }) => at + took)) - struck
  const slowest = Math.max(...probes.filter(({ at }) => at >= struck).map(({ took }) => took))
  const back = await until(async () => (await Promise.all(callers.map(async ({ room }) => await there(room) || (await query(`select 1 from sessions where room_name = '${room}' and state = 'ended'`)).length === 1))).every(Boolean), settle)
  over.abort()
  await probing
  // What a dead node left in Redis looks alive: whoever is dead is gone after LiveKit's 20 s, and only a room that somebody holds can be written to.
  await sleep(25_000)
  const alive = async (room: string) => await there(room) && (await Promise.all(rooms.map((one) => one.updateRoomMetadata(room, 'proof').then(() => true, () => false)))).some(Boolean)
  const living = await Promise.all(callers.map(({ room }) => alive(room)))
  const together = living.filter(Boolean).length
  const thrownOut = callers.filter(({ lost }) => lost).length
  const ghosts = (await Promise.all(callers.map(async ({ room }, n) => !living[n] && (await query(`select 1 from sessions where room_name = '${room}' and state = 'live'`)).length === 1))).filter(Boolean).length

  for (const { room } of callers) await call(room.split('-')[2]!, 'DELETE', `/voice-sessions/${room}`)
  await until(async () => (await query('select 1 from sessions where state <> \'ended\'')).length === 0, settle)
  const standing = async () => (await Promise.all(rooms.map((one) => one.listRooms().catch(() => [])))).flat()
  await until(async () => (await standing()).length === 0, settle)
  const inside = () => callers.filter(({ lost, killed }) => !lost && !killed).length
  await until(() => inside() === 0, settle)
  const list = await standing()
  for (const { name, sid, numParticipants } of list) console.log('left:', name, sid, numParticipants, (await query(`select state, end_reason, now() - ended_at as ago, next_check_at, revived_at from sessions where room_name = '${name}'`))[0])
  const left = { rows: (await query('select 1 from sessions where state <> \'ended\'')).length, rooms: new Set(list.map(({ name }) => name)).size, inside: inside() }
  table.push({
    'killed or cut': what,
    'starts failed': `${failed.length} (${[...new Set(failed.map(({ status }) => status))].join(', ') || 'none'})`,
    'until the last failed': seconds(normal),
    'slowest start': seconds(slowest),
    'callers thrown out': thrownOut,
    'calls that live': `${together} of ${CALLERS}`,
    ghosts,
    after: back === Infinity ? 'not all' : seconds(back + 8000),
    left: toldOf(left)
  })
  return { normal, together, thrownOut, ghosts, left }
}

/** Everything of a part is ended before the next one. */
const part = (run: () => Promise<void>) => async () => {
  try {
    await run()
  } finally {
    disposeParticipants()
    for (const close of closers.splice(0)) await Promise.resolve(close()).catch(() => {})
  }
}

interface Left { rooms: number, rows: number, inside: number }
const toldOf = ({ rooms, rows, inside }: Left) => `${rooms} rooms, ${rows} rows, ${inside} callers inside`
const nothingLeft = ({ left }: { left: Left }) => claim('nothing is left', left.rooms === 0 && left.rows === 0 && left.inside === 0, toldOf(left))

await prove({
  'the LiveKit node that the services ask is killed': part(async () => {
    const result = await during('LiveKit node', ({ nodes }) => nodes[0]!.kill())
    claim('starts work again within', result.normal < 8000, seconds(result.normal))
    nothingLeft(result)
    console.table(table)
  }),
  'the same, and two of the callers with it, who never come back': part(async () => {
    const result = await during('LiveKit node, and two callers', ({ nodes }, callers) => Promise.all([nodes[0]!.kill(), ...callers.slice(0, 2).map(({ kill }) => kill())]))
    claim('no session is live in which nobody is', result.ghosts === 0, `${result.ghosts}`)
    nothingLeft(result)
    console.table(table)
  }),
  'the same, with all who were in its calls and all workers; nobody comes back': part(async () => {
    const { call, edge, nodes, workers, rooms, query } = await stage()
    const callers = await Promise.all(Array.from({ length: CALLERS }, async (_, n) => {
      const { body } = await call(`caller${n}`, 'POST', '/voice-sessions/start')
      return joinRoom({ url: edge.url, token: body.token, killable: true })
    }))
    const live = async () => (await query('select 1 from sessions where state <> \'ended\'')).length
    await sleep(3000)
    await Promise.all([nodes[0]!.kill(), ...callers.map((caller) => caller.kill()), ...workers.map((worker) => worker.stop())])
    await sleep(40_000)
    const held = await live() // LiveKit's other node has closed its own
    const took = await until(async () => await live() === 0, 420_000) + 40_000
    const standing = (await rooms[1]!.listRooms()).length
    claim('what the dead node held is over by itself, and nothing is left', held > 0 && took < Infinity && standing === 0, `${held} of ${CALLERS} sessions, the last after ${seconds(took)}: ${JSON.stringify(await query('select end_reason, count(*)::int from sessions group by 1'))}`)
  }),
  'Redis is killed, and back after 3 s': part(async () => {
    const result = await during('Redis, for 3 s', async ({ state }) => { state.redis.kill('SIGKILL'); await sleep(3000) }, { restore: async ({ state, redisPort, redisData }) => { state.redis = await startRedis(redisPort, redisData) } })
    claim('calls go on', result.together === CALLERS, `${result.together} of ${CALLERS}`)
    nothingLeft(result)
    console.table(table)
  }),
  'Redis is killed, and back after 3 s with nothing in it': part(async () => {
    // LiveKit does not know any more who is where: what people in its rooms notice is in the table, and nobody can put it right.
    const { left } = await during('Redis, for 3 s, and forgets all', async ({ state }) => { state.redis.kill('SIGKILL'); await sleep(3000) }, { restore: async ({ state, redisPort }) => { state.redis = await startRedis(redisPort) } })
    claim('no row is left', left.rows === 0, toldOf(left))
    console.table(table)
  }),
  'Redis is killed, and Sentinel puts its replica in its place': part(async () => {
    const result = await during('Redis, with Sentinel', async ({ state }) => { state.redis.kill('SIGKILL') }, { sentinels: true, settle: 60_000 })
    claim('calls go on', result.together === CALLERS, `${result.together} of ${CALLERS}`)
    nothingLeft(result)
    console.table(table)
  }),
  'a service is killed': part(async () => {
    const result = await during('service', ({ services }) => services[0]!.kill())
    claim('calls go on', result.thrownOut === 0)
    nothingLeft(result)
    console.table(table)
  }),
  'a worker is killed with its agents': part(async () => {
    const result = await during('worker', ({ workers }) => workers[0]!.kill(), { settle: 60_000 })
    claim('every call has its agent again', result.together === CALLERS, `${result.together} of ${CALLERS}`)
    nothingLeft(result)
    console.table(table)
  }),
  'PostgreSQL is cut off: its connections are reset and new ones refused for 3 s': part(async () => {
    const result = await during('way to PostgreSQL, 3 s', async ({ wayToDatabase }) => { await wayToDatabase.fault('refuse'); await sleep(3000); await wayToDatabase.fault() })
    claim('calls go on', result.thrownOut === 0)
    nothingLeft(result)
    console.table(table)
  }),
  'the LiveKit node that the services ask is cut off from Redis for 10 s': part(async () => {
    // A room of which each side made its own: whoever is on the side that Redis does not know of is not seen by anybody.
    const { left } = await during('way from a LiveKit node to Redis, 10 s', async ({ ways }) => { await ways[0]!.fault('halfOpen'); await sleep(10_000); await ways[0]!.fault() })
    claim('no room and no row is left', left.rooms === 0 && left.rows === 0, toldOf(left))
    console.table(table)
  })
})
