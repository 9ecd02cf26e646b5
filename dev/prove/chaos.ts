// `npm run prove:chaos`: each thing the service depends on killed, hanging, slow, reset, half-open or talking garbage, twice each, under load.
// `npm run prove:chaos -- redis` runs one of them. What users saw, seconds until normal, what was lost; the table is in docs/performance.md.
import { execFile } from 'node:child_process'
import { createSign, generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { encode } from '../demo/token.ts'
import { freeTcpPort } from '../livekit/livekit.ts'
import type { Fault, FaultProxy } from '../faults/fault-proxy.ts'
import { percentile } from './figures.ts'
import { claim, faultsBefore, neighbourhood, prove, seconds, sleep, until, type NeighbourhoodOptions } from './proof.ts'
import { startRedis } from './redis.ts'
import { startTraffic, statuses, type TrafficOptions } from './traffic.ts'

const USERS = 10
const PAUSE = 100 // ms between two requests of a user: about 80 requests a second
const BEFORE = 2000 // ms
const DURING = 6000 // ms
const AFTER = 6000 // ms
const INTERVAL = 5 // s, RECONCILE_INTERVAL

const faults: Record<string, Fault> = {
  killed: 'refuse',
  hanging: 'hang',
  'slow by 1 s': { delay: 1000 },
  'slow by 5 s': { delay: 5000 },
  reset: 'reset',
  'half-open': 'halfOpen',
  garbage: { respond: 'HTTP/1.1 200 OK\n\n{"it":"is not this"' }
}

interface Case { begin: () => Promise<unknown>, end: () => Promise<unknown> }

const through = (proxy: FaultProxy): Record<string, Case> => Object.fromEntries(Object.entries(faults).map(([name, fault]) => [name, { begin: () => proxy.fault(fault), end: () => proxy.fault() }]))

/** The cases of one dependency, one after the other on one service, each twice; a line of the table each. */
async function storm (dependency: string, parts: Awaited<ReturnType<typeof neighbourhood>>, cases: Record<string, Case>, options: Partial<TrafficOptions> = {}) {
  const { service, secret, query, rooms } = parts
  const lines: string[] = []
  for (const [name, { begin, end }] of Object.entries(cases)) {
    const states: string[] = []
    for (const round of [1, 2]) {
      const [{ before }] = await query('select count(*)::int as before from sessions')
      const traffic = startTraffic({ url: service.url, secret, users: USERS, pause: PAUSE, prefix: `${dependency}-${name}-${round}`.replaceAll(/[^\w-]/g, '_'), ...options })
      await sleep(BEFORE)
      const began = performance.now()
      await begin()
      await sleep(DURING)
      const over = performance.now()
      await end()
      await sleep(AFTER)
      await traffic.stop()
      const seen = traffic.samples.filter(({ at }) => at >= began && at < over)
      const bad = traffic.samples.filter(({ at, ms, status }) => at + ms >= over && status !== 200 && status !== 404)
      const normal = Math.max(0, ...bad.map(({ at, ms }) => at + ms - over))

      // What is left when everybody has gone: nothing may hold a slot, and no room may stand.
      const left = async () => ({ ...(await query('select count(*)::int as rows from sessions where state in (\'starting\', \'live\', \'ending\')'))[0], rooms: (await rooms.listRooms()).length })
      const quiet = await until(async () => { const { rows, rooms } = await left(); return rows + rooms === 0 }, 30_000)
      const [{ ended }] = await query('select coalesce(json_object_agg(reason, n), \'{}\') as ended from (select coalesce(end_reason, state) as reason, count(*)::int as n from (select * from sessions order by created_at offset $1) s group by 1) r', [before])
      states.push(JSON.stringify(await left()))
      const lost = [...traffic.started].filter((room) => !traffic.ended.has(room)).length
      claim(`${name}, ${round === 1 ? 'once' : 'and again'}`, quiet < Infinity && normal < AFTER - 500 && service.isAlive(), `normal after ${seconds(normal)}, nothing left after ${seconds(quiet)}; ${statuses(seen)}`)
      if (round === 1) lines.push(`| ${dependency} | ${name} | ${statuses(seen)} | ${percentile(seen.map(({ ms }) => ms), 0.5).toFixed(0)} / ${Math.max(...seen.map(({ ms }) => ms)).toFixed(0)} | ${(normal / 1000).toFixed(1)} | ${lost} | ${Object.entries(ended).map(([reason, n]) => `${reason} ${n}`).join(', ')} |`)
    }
    claim(`${name}: the same end state`, states[0] === states[1], states[0])
  }
  console.log(`\n  | dependency | fault of ${DURING / 1000} s | answers meanwhile | median / longest ms | s until normal | ends unconfirmed | how the sessions ended |\n  |---|---|---|---|---|---|---|`)
  for (const line of lines) console.log(`  ${line}`)
}

const parts = (options: NeighbourhoodOptions = {}) => neighbourhood({ ...options, faults: true, built: true, env: { RECONCILE_INTERVAL: String(INTERVAL), LOG_LEVEL: 'error', NODE_ENV: 'production', ...options.env } })

await prove({
  async LiveKit () {
    const all = await parts()
    await storm('LiveKit', all, { ...through(all.faults!.livekit), killed: { begin: () => all.livekit.kill(), end: () => all.livekit.restart() } })
  },
  async PostgreSQL () {
    const all = await parts()
    await storm('PostgreSQL', all, through(all.faults!.postgres))
  },
  async webhooks () {
    const all = await parts()
    await storm('webhooks', all, through(all.faults!.webhooks))
  },
  async Redis () {
    const port = await freeTcpPort()
    const redis = await startRedis(port)
    const proxy = await faultsBefore(`redis://127.0.0.1:${port}`)
    try {
      const all = await parts({ env: { RATE_LIMIT_PER_MINUTE: '100000', REDIS_URL: `redis://127.0.0.1:${proxy.port}` } })
      await storm('Redis', all, through(proxy))
    } finally {
      redis.kill()
    }
  },
  async JWKS () {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const keys = createServer((_request, response) => response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'one', alg: 'ES256', use: 'sig' }] })))
    const port = await freeTcpPort()
    await new Promise<void>((resolve) => { keys.listen(port, '127.0.0.1', resolve) })
    const proxy = await faultsBefore(`http://127.0.0.1:${port}`)
    const sign = (user: string) => {
      const now = Math.floor(Date.now() / 1000)
      const signed = `${encode({ alg: 'ES256', kid: 'one' })}.${encode({ sub: user, iss: 'https://issuer.test', aud: 'sessions', iat: now, exp: now + 600 })}`
      return `${signed}.${createSign('sha256').update(signed).sign({ key: privateKey, dsaEncoding: 'ieee-p1363' }, 'base64url')}`
    }
    const all = await parts({ env: { JWT_SECRET: undefined, JWT_JWKS_URL: `http://127.0.0.1:${proxy.port}/keys`, JWT_ISSUER: 'https://issuer.test', JWT_AUDIENCE: 'sessions' } })
    await storm('JWKS', all, through(proxy), { sign })
    keys.close()
  },
  async 'the clock' () {
    const { stdout } = await promisify(execFile)('find', ['/usr/lib', '-name', 'libfaketime.so.1'])
    const library = stdout.split('\n')[0]
    if (!library) throw new Error('This part takes libfaketime: install faketime.')
    const folder = await mkdtemp(join(tmpdir(), 'clock-'))
    const offset = join(folder, 'offset')
    await writeFile(offset, '+0')
    const jump = (by: string): Case => ({ begin: () => writeFile(offset, by), end: () => writeFile(offset, '+0') })
    const all = await parts({ env: { LD_PRELOAD: library, FAKETIME_TIMESTAMP_FILE: offset, FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' } })
    await storm('the clock', all, { 'a minute ahead': jump('+60'), 'a minute back': jump('-60') })
    await rm(folder, { recursive: true })
  }
})
