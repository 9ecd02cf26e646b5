// `npm run bench`: how fast the service is, at what cost, and how that grows; each figure beside what LiveKit alone gives in the same run.
// `--checkout ../of-another-version` measures that one, from its source (without the lone requests, which speak to this version's database).
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Registry } from 'prom-client'
import { Pool } from 'undici'
import { signUserToken } from '../dev/demo/token.ts'
import { median } from '../dev/prove/figures.ts'
import { newSession } from '../dev/prove/new-session.ts'
import { childrenOf, cpuOf } from '../dev/prove/processes.ts'
import { benchParts, callAsFast } from './parts.ts'
import { createLiveKit } from '../plugins/livekit/client.ts'
import { openDatabase } from '../plugins/database/query.ts'
import { createSessionStore } from '../plugins/database/session-store.ts'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '3' },
    widths: { type: 'string', default: '1,10,50' },
    sessions: { type: 'string', default: '10,1000,10000' },
    json: { type: 'string', default: 'bench/results/latest.json' },
    checkout: { type: 'string' },
    compare: { type: 'boolean', default: false },
    life: { type: 'boolean', default: false }
  },
  allowPositionals: true
})

/** What one kind of call came to; CPU in microseconds a call, times in milliseconds. */
export interface Figure { perSecond: number, p50: number, p99: number, cpu: Record<'service' | 'livekit' | 'postgres', number> }
export interface Row { operation: string, sessions: number, inFlight: number, service: Figure, livekit: Figure }
export interface Results { version: string, cores: number, rows: Row[], lone: Array<{ operation: string, request: number, roundTrips: number }> }

if (values.compare) compare(process.argv.slice(2).filter((argument) => argument.endsWith('.json')))
else await main()

/** CPU time of these processes, microseconds. */
function spentBy (pids: number[]): number {
  return pids.reduce((sum, pid) => sum + cpuOf(pid), 0) * 1000
}

async function main () {
  const seconds = Number(values.seconds)
  const rounds = Number(values.rounds)
  const widths = values.widths.split(',').map(Number)
  const { checkout } = values
  const parts = await benchParts({}, [], { checkout })
  const { service, livekit: server, databaseUrl, secret, postgresPid } = parts
  const pool = new Pool(service.url, { connections: 128, pipelining: 1 })
  const livekit = createLiveKit({ urls: [server.url], apiKey: server.apiKey, apiSecret: server.apiSecret, metrics: new Registry() })
  await livekit.autoCreates()
  const database = openDatabase(databaseUrl, () => {})
  const store = createSessionStore(database)
  const tokens = new Map<string, string>()
  const tokenOf = (user: string) => tokens.get(user) ?? tokens.set(user, signUserToken(secret, { sub: user })).get(user)!

  async function call (user: string, method: 'GET' | 'POST' | 'DELETE', path: string) {
    const { statusCode, body } = await pool.request({ path: `/api/v1/voice-sessions${path}`, method, headers: { authorization: `Bearer ${tokenOf(user)}` } })
    const answer = await body.json() as any
    if (statusCode !== 200) throw new Error(`${method} ${path}: ${statusCode} ${JSON.stringify(answer)}`)
    return answer
  }

  /** What `width` callers get, and what that costs each process. */
  async function measure (call: (n: number) => Promise<unknown> | undefined, width: number): Promise<Figure & { calls: number }> {
    const pids = { service: [service.pid], livekit: [server.pid], postgres: postgresPid ? [postgresPid, ...childrenOf(postgresPid)] : [] }
    const before = { service: spentBy(pids.service), livekit: spentBy(pids.livekit), postgres: spentBy(pids.postgres) }
    const { times, took } = await callAsFast(call, width, seconds)
    times.sort((a, b) => a - b)
    const cpu = (name: keyof typeof pids) => Math.round((spentBy(pids[name]) - before[name]) / times.length)
    return { calls: times.length, perSecond: times.length / took * 1000, p50: times[Math.floor(times.length / 2)]!, p99: times[Math.floor(times.length * 0.99)]!, cpu: { service: cpu('service'), livekit: cpu('livekit'), postgres: cpu('postgres') } }
  }

  const middle = (figures: Figure[]): Figure => ({
    perSecond: median(figures.map((one) => one.perSecond)),
    p50: median(figures.map((one) => one.p50)),
    p99: median(figures.map((one) => one.p99)),
    cpu: { service: median(figures.map((one) => one.cpu.service)), livekit: median(figures.map((one) => one.cpu.livekit)), postgres: median(figures.map((one) => one.cpu.postgres)) }
  })

  let count = 0
  const standing: Array<{ user: string, room: string }> = []
  /** Starts so many sessions, of as many users; those before are ended, because LiveKit closes a room that nobody comes to after 5 minutes. */
  async function stand (wanted: number) {
    console.error(`  ${wanted} sessions ...`)
    for (const one of standing.splice(0)) await call(one.user, 'DELETE', `/${one.room}`)
    await Promise.all(Array.from({ length: 20 }, async () => {
      while (standing.length < wanted) {
        const user = `standing-${count++}`
        const entry = { user, room: '' }
        standing.push(entry)
        entry.room = (await call(user, 'POST', '/start')).room_name
      }
    }))
  }

  const room = (name: string) => ({ name, metadata: JSON.stringify({ user_id: 'bench', agent_type: 'general', mode: 'voice', created_at: new Date() }), emptyTimeout: 300, departureTimeout: 60, maxParticipants: 2, agentName: 'voice-agent', agentMetadata: '{"session_id":"bench"}' })
  const started: Array<{ user: string, room: string }> = []
  const made: string[] = []
  /** Each operation through the service, and the same calls to LiveKit alone. */
  const operations: Record<string, { service: (n: number) => Promise<unknown> | undefined, livekit: (n: number) => Promise<unknown> | undefined }> = {
    start: {
      service: async () => {
        const user = `starter-${count++}`
        started.push({ user, room: (await call(user, 'POST', '/start')).room_name })
      },
      livekit: async () => {
        const name = `bare-${count++}`
        await livekit.createRoom(room(name))
        made.push(name)
      }
    },
    status: {
      service: (n) => { const { user, room } = standing[n % standing.length]!; return call(user, 'GET', `/${room}/status`) },
      livekit: (n) => livekit.listParticipants(standing[n % standing.length]!.room).then(() => livekit.standing([{ name: standing[n % standing.length]!.room, sid: null }]))
    },
    active: {
      service: (n) => call(standing[n % standing.length]!.user, 'GET', '/active'),
      livekit: (n) => livekit.listParticipants(standing[n % standing.length]!.room).then(() => livekit.standing([{ name: standing[n % standing.length]!.room, sid: null }]))
    },
    end: {
      service: () => { const one = started.pop(); return one && call(one.user, 'DELETE', `/${one.room}`) },
      livekit: () => { const name = made.pop(); return name === undefined ? undefined : livekit.deleteRoom(name) }
    }
  }

  const results: Results = { version: execFileSync('git', ['describe', '--always', '--dirty'], { cwd: checkout }).toString().trim(), cores: cpus().length, rows: [], lone: [] }
  for (const sessions of values.sessions.split(',').map(Number)) {
    await stand(sessions)
    for (const inFlight of widths) {
      const figures = Object.fromEntries(Object.keys(operations).map((name) => [name, { service: [] as Figure[], livekit: [] as Figure[] }]))
      for (let round = 0; round < rounds; round++) {
        for (const [name, { service, livekit }] of Object.entries(operations)) {
          figures[name]!.service.push(await measure(service, inFlight))
          figures[name]!.livekit.push(await measure(livekit, inFlight))
        }
        // What was started and not ended again goes, unmeasured.
        for (const one of started.splice(0)) await call(one.user, 'DELETE', `/${one.room}`)
        for (const name of made.splice(0)) await livekit.deleteRoom(name)
      }
      for (const [operation, { service, livekit }] of Object.entries(figures)) {
        results.rows.push({ operation, sessions, inFlight, service: middle(service), livekit: middle(livekit) })
      }
      console.error(`  ${inFlight} in flight done`)
    }
    if (!checkout && sessions === Number(values.sessions.split(',')[0])) results.lone = await lone()
  }
  print(results)
  writeFileSync(values.json, JSON.stringify(results, null, 2) + '\n')
  console.error(`kept in ${values.json}`)
  if (values.life) await life()
  await database.close()
  await livekit.close?.()
  await pool.close()
  await parts.stop()
  process.exit(0)

  /** A lone request beside the sum of what it has to wait for: its statements and its calls. */
  async function lone () {
    const time = async (work: () => Promise<unknown>) => {
      const times = []
      for (let n = 0; n < 300; n++) { const at = performance.now(); await work(); times.push(performance.now() - at) }
      return median(times)
    }
    const claimed: string[] = []
    const claim = await time(async () => { const row = await store.claim(newSession(), { slots: 5, startsPerMinute: 0 }); claimed.push(row!.id) })
    let n = 0
    const goLive = await time(() => store.goLive(claimed[n++]!, 0, { room_sid: 'RM', expires_at: new Date(), next_check_at: new Date(Date.now() + 3_600_000), actor: 'user:bench', now: new Date() }))
    n = 0
    const beginEnd = await time(() => store.beginEnd({ id: claimed[n++]! }, { reason: 'user', by: 'user:bench', now: new Date(), lease_until: new Date(Date.now() + 3_600_000) }))
    n = 0
    const finishEnd = await time(() => store.finishEnd(claimed[n++]!, 1, { now: new Date(), watch_until: new Date(), next_check_at: null, late: null }))
    const { user, room: name } = standing[0]!
    const byRoom = await time(() => store.byRoom(name))
    const liveOf = await time(() => store.liveOf(user, 'voice'))
    const createRoom = await time(async () => { const one = `bare-${count++}`; await livekit.createRoom(room(one)); made.push(one) })
    const deleteRoom = await time(() => livekit.deleteRoom(made.pop()!))
    const listParticipants = await time(() => livekit.listParticipants(name))
    const listRooms = await time(() => livekit.standing([{ name, sid: null }]))
    const ended: typeof started = []
    const requests = {
      start: await time(async () => { const user = `starter-${count++}`; ended.push({ user, room: (await call(user, 'POST', '/start')).room_name }) }),
      status: await time(() => call(user, 'GET', `/${name}/status`)),
      active: await time(() => call(user, 'GET', '/active')),
      end: await time(() => { const one = ended.pop()!; return call(one.user, 'DELETE', `/${one.room}`) })
    }
    const trips = { start: claim + createRoom + goLive, status: byRoom + listParticipants + listRooms, active: liveOf + listParticipants + listRooms, end: beginEnd + deleteRoom + finishEnd }
    return Object.entries(requests).map(([operation, request]) => ({ operation, request, roundTrips: trips[operation as keyof typeof trips] }))
  }

  /** What LiveKit pays for whole lives: start, two looks, end, the looks after it; against rooms that are made, stand as long, and are deleted. */
  async function life () {
    const LIVES = 500
    const HELD = 35_000 // two looks of RECONCILE_INTERVAL
    const AFTER = 45_000 // all looks after an end
    for (const one of standing.splice(0)) await call(one.user, 'DELETE', `/${one.room}`)
    await sleep(AFTER)
    const cost = async (begin: (n: number) => Promise<unknown>, end: (n: number) => Promise<unknown>) => {
      const idle = await spent(() => sleep(10_000))
      const busy = await spent(async () => {
        for (let n = 0; n < LIVES; n += 10) await Promise.all(Array.from({ length: 10 }, (_, m) => begin(n + m)))
        await sleep(HELD)
        for (let n = 0; n < LIVES; n += 10) await Promise.all(Array.from({ length: 10 }, (_, m) => end(n + m)))
        await sleep(AFTER)
      })
      return { cpu: (busy.cpu - idle.cpu / idle.ms * busy.ms) / LIVES }
    }
    const spent = async (work: () => Promise<unknown>) => {
      const [cpu, at] = [spentBy([server.pid]), performance.now()]
      await work()
      return { cpu: spentBy([server.pid]) - cpu, ms: performance.now() - at }
    }
    const names: string[] = []
    const bare = await cost(async (n) => { names[n] = `life-${count++}`; await livekit.createRoom(room(names[n]!)) }, async (n) => { await livekit.deleteRoom(names[n]!) })
    const ours = await cost(async (n) => { names[n] = (await call(`life-${n}`, 'POST', '/start')).room_name }, async (n) => { await call(`life-${n}`, 'DELETE', `/${names[n]}`) })
    console.log(`\nLiveKit's CPU for a session's life: ${Math.round(ours.cpu)} us through the service, ${Math.round(bare.cpu)} us for the bare room: ${(ours.cpu / bare.cpu).toFixed(2)} times`)
  }
}

function print ({ rows, lone, cores, version }: Results) {
  console.log(`\nlivekit-sessions ${version}, ${cores} cores shared by everything. LiveKit alone: the same calls without the service, same run.\n`)
  console.log('| operation | sessions | in flight | a second | of LiveKit alone | p50 ms | p99 ms | CPU us: service | PostgreSQL | LiveKit | of LiveKit alone |')
  console.log('|---|---|---|---|---|---|---|---|---|---|---|')
  for (const { operation, sessions, inFlight, service: s, livekit: l } of rows) {
    console.log(`| ${operation} | ${sessions} | ${inFlight} | ${s.perSecond.toFixed(0)} | ${(s.perSecond / l.perSecond).toFixed(2)} | ${s.p50.toFixed(2)} | ${s.p99.toFixed(2)} | ${s.cpu.service} | ${s.cpu.postgres} | ${s.cpu.livekit} | ${(s.cpu.livekit / Math.max(1, l.cpu.livekit)).toFixed(2)} |`)
  }
  console.log('\n| a lone request | ms | its round trips, ms | ratio |\n|---|---|---|---|')
  for (const { operation, request, roundTrips } of lone) console.log(`| ${operation} | ${request.toFixed(2)} | ${roundTrips.toFixed(2)} | ${(request / roundTrips).toFixed(2)} |`)
}

/** Two runs beside each other: how many times faster and cheaper the second is. */
function compare ([before, after]: string[]) {
  if (!before || !after) throw new Error('npm run bench -- --compare before.json after.json')
  const [a, b] = [before, after].map((file) => JSON.parse(readFileSync(file, 'utf8')) as Results) as [Results, Results]
  console.log(`\n${a.version} -> ${b.version}; ratios to LiveKit alone in the same run, so that two machines and two days can be compared\n`)
  console.log('| operation | sessions | in flight | throughput of LiveKit alone | service CPU us | PostgreSQL CPU us | p50 ms |\n|---|---|---|---|---|---|---|')
  for (const row of b.rows) {
    const old = a.rows.find((one) => one.operation === row.operation && one.sessions === row.sessions && one.inFlight === row.inFlight)
    if (!old) continue
    const ratio = ({ service, livekit }: Row) => (service.perSecond / livekit.perSecond).toFixed(2)
    console.log(`| ${row.operation} | ${row.sessions} | ${row.inFlight} | ${ratio(old)} -> ${ratio(row)} | ${old.service.cpu.service} -> ${row.service.cpu.service} | ${old.service.cpu.postgres} -> ${row.service.cpu.postgres} | ${old.service.p50.toFixed(2)} -> ${row.service.p50.toFixed(2)} |`)
  }
}
