// `npm run prove:upgrade`: replicas are replaced one by one under load, as a rolling update does; no request and no call is lost.
// UPGRADE_FROM names a checkout of another version (with its node_modules): then each replica begins as that one.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { Pool } from 'undici'
import { joinRoom } from '../livekit/participant.ts'
import { percentile } from './figures.ts'
import { claim, closing, neighbourhood, prove, seconds, sleep, until } from './proof.ts'
import { startService, type Service } from './service.ts'
import { startTraffic, statuses } from './traffic.ts'

const from = process.env.UPGRADE_FROM
const USERS = 20
const CALLS = 4
const ROUNDS = 2

/** A balancer: asks each replica 5 times a second whether it is ready, and sends requests in turn to those that are; out is who says no, or nothing three times. */
async function startBalancer (replicas: () => Service[]) {
  const ready = new Map<Service, Pool>()
  const silent = new Map<Service, number>()
  const look = async () => {
    const all = replicas()
    await Promise.all(all.map(async (replica) => {
      const answer = await fetch(`${replica.url}/readyz`, { signal: AbortSignal.timeout(500) }).then(({ status }) => status, () => 0)
      silent.set(replica, answer === 0 ? (silent.get(replica) ?? 0) + 1 : 0)
      if (answer === 503 || silent.get(replica)! > 2) ready.delete(replica)
      else if (answer === 200 && !ready.has(replica)) ready.set(replica, new Pool(replica.url))
    }))
    for (const replica of ready.keys()) if (!all.includes(replica)) ready.delete(replica)
  }
  let turn = 0
  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const pool = [...ready.values()][turn++ % ready.size]
    if (!pool) throw new Error('no replica is ready')
    const { statusCode, headers, body } = await pool.request({ path: request.url!, method: request.method as 'GET', headers: { authorization: request.headers.authorization! } })
    response.writeHead(statusCode, { 'content-type': headers['content-type'] as string })
    await pipeline(body, response)
  }
  const server = createServer((request, response) => {
    handle(request, response).catch((error: Error) => { console.log(`  balancer: ${error.message}`); response.writeHead(502).end('{}') })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  await look()
  const looking = setInterval(look, 200)
  closing(async () => { clearInterval(looking); server.close(); server.closeAllConnections() })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, isReady: (replica: Service) => ready.has(replica) }
}

await prove({
  async [`two replicas${from ? `, of ${from} at first,` : ''} are replaced in turn, ${ROUNDS} times`] () {
    const { livekit, secret, databaseUrl, query, rooms, call, start, end, worker, service } = await neighbourhood({ env: { RECONCILE_INTERVAL: '5', DEPARTURE_TIMEOUT: '5' } })
    const agents = await worker('accept')
    const env = { LIVEKIT_URL: livekit.url, LIVEKIT_API_KEY: livekit.apiKey, LIVEKIT_API_SECRET: livekit.apiSecret, JWT_SECRET: secret, DATABASE_URL: databaseUrl, RATE_LIMIT_PER_MINUTE: '0', START_LIMIT_PER_MINUTE: '0', LOG_LEVEL: 'warn', RECONCILE_INTERVAL: '5' }
    const replicas: Service[] = []
    closing(async () => { await Promise.all(replicas.map((replica) => replica.stop())) })
    for (let n = 0; n < 2; n++) replicas.push(await startService({ ...env }, from ? { checkout: from } : { built: true }))
    const balancer = await startBalancer(() => replicas)
    const calls = await Promise.all(Array.from({ length: CALLS }, async (_, n) => {
      const { room_name: room, token } = await start(`caller-${n}`)
      const participant = await joinRoom({ url: livekit.url, token })
      const one = { user: `caller-${n}`, room, lost: '' }
      participant.disconnected.then((reason) => { one.lost = reason })
      return one
    }))

    // The sessions of the traffic have no agents: some hundred joins and leaves are LiveKit's work, on the same two cores.
    await until(async () => (await Promise.all(calls.map(({ user, room }) => call(user, 'GET', `/voice-sessions/${room}/status`)))).every(({ body }) => body.agent_connected), 30_000)
    agents.setBehaviour('refuse')
    const traffic = startTraffic({ url: balancer.url, secret, users: USERS, pause: 100 })
    await sleep(2000)
    const took: number[] = []
    const codes: Array<number | null> = []
    for (let round = 0; round < ROUNDS; round++) {
      for (let n = 0; n < 2; n++) {
        const began = performance.now()
        const next = await startService({ ...env }, { built: true })
        replicas.push(next)
        await until(() => balancer.isReady(next), 10_000)
        const old = replicas.shift()!
        codes.push(await old.stop())
        if (codes.at(-1) !== 0) console.log(old.log().slice(-2000))
        took.push(performance.now() - began)
        await sleep(1000)
      }
    }
    await sleep(2000)
    await traffic.stop()
    const { samples } = traffic
    for (const { operation, status, code, ms } of samples.filter(({ status }) => status !== 200)) console.log(`  ${operation}: ${status} ${code ?? ''} after ${ms.toFixed(0)} ms`)
    claim('no request was lost, refused or failed', samples.length > 500 && samples.every(({ status }) => status === 200), `${samples.length} requests, ${statuses(samples)}; p99 ${percentile(samples.map(({ ms }) => ms), 0.99).toFixed(0)} ms`)
    claim('every replica ended in order', codes.every((code) => code === 0), `${codes.join(', ')}; ${seconds(Math.max(...took))} for one at most`)
    const active = await Promise.all(calls.map(async ({ user, room }) => (await call(user, 'GET', `/voice-sessions/${room}/status`)).body.agent_connected === true))
    claim('no call was lost', calls.every(({ lost }) => !lost) && active.every(Boolean), `${active.filter(Boolean).length} of ${calls.length}${calls.map(({ lost }) => lost && `, ${lost}`).join('')}`)
    for (const { user, room } of calls) await end(user, room)
    const left = await until(async () => (await rooms.listRooms()).length === 0 && (await query('select 1 from sessions where state <> \'ended\'')).length === 0, 30_000)
    claim('no room and no row is left', left < Infinity, seconds(left))
    claim('the one that takes the webhooks served all the time', (await fetch(`${service.url}/readyz`)).status === 200)
  }
})
