// `npm run prove:load`: 10, 50, 100 and 500 users at once over HTTP (k6), more than the service can take, and real calls with sound. What each process holds meanwhile.
// Takes k6 on the PATH (`go install go.k6.io/k6@v1.8.1`), and lk, LiveKit's command line, for its own load tester.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { startEchoAgent } from '../demo/agents.ts'
import { joinRoom } from '../livekit/participant.ts'
import { claim, neighbourhood, prove, seconds, sleep, until } from './proof.ts'
import { holdingOf, type Holding } from './processes.ts'
import { percentile } from './figures.ts'

const LEVELS = [10, 50, 100, 500]
const SECONDS = 20
const BEEPS = 15 // of each call with sound, one a second
const SOUND = 20 // s of a call of LiveKit's load tester
const RAMP = 50 // ms between two of them: each is a program of its own that starts
const FULL = 90 // % of all cores: beyond it sound is late, whoever is to blame
const PROMISED = 200 // ms, on average (C6)
const script = fileURLToPath(new URL('../../bench/load.k6.js', import.meta.url))
const results = fileURLToPath(new URL('../../bench/results/load.json', import.meta.url))
const kept: Record<string, unknown> = {}

interface Trend { values: Record<string, number> }

async function k6 (env: NodeJS.ProcessEnv): Promise<Record<string, Trend>> {
  const child = spawn('k6', ['run', '--quiet', script], { env: { ...process.env, ...env, K6_NO_USAGE_REPORT: 'true' }, stdio: ['ignore', 'pipe', 'pipe'] })
  let printed = ''
  let said = ''
  child.stdout.on('data', (chunk) => { printed += chunk })
  child.stderr.on('data', (chunk) => { said += chunk })
  const [code] = await Promise.race([once(child, 'close'), once(child, 'error').then(([error]) => { throw new Error('k6 does not start: go install go.k6.io/k6@v1.8.1, and put it on the PATH', { cause: error }) })])
  if (code !== 0 && code !== 99) throw new Error(`k6 ended with ${code}:\n${said.slice(-1000)}`)
  return JSON.parse(printed)
}

/** What came to the subscriber of one room, by LiveKit's own load tester: a voice in, a voice out, for `SOUND` seconds. */
async function loadTest (livekit: { url: string, apiKey: string, apiSecret: string }, room: string): Promise<{ packets: number, lost: number }> {
  const child = spawn('lk', ['load-test', '--yes', '--url', livekit.url, '--api-key', livekit.apiKey, '--api-secret', livekit.apiSecret, '--room', room, '--audio-publishers', '1', '--subscribers', '1', '--duration', `${SOUND}s`], { stdio: ['ignore', 'pipe', 'ignore'] })
  let printed = ''
  child.stdout.on('data', (chunk) => { printed += chunk })
  await Promise.race([once(child, 'close'), once(child, 'error').then(([error]) => { throw new Error('lk does not start: put LiveKit\'s command line on the PATH', { cause: error }) })])
  const [, packets = '0', lost = '0'] = /audio\s*│\s*(\d+)\s*│[^│]*│\s*(\d+) \(/.exec(printed) ?? []
  return { packets: Number(packets), lost: Number(lost) }
}

/** What the cores of the machine have done since its start, ms. */
function coresNow () {
  const times = cpus().map((core) => core.times)
  const idle = times.reduce((sum, one) => sum + one.idle, 0)
  return { idle, all: times.reduce((sum, one) => sum + one.user + one.nice + one.sys + one.irq, idle) }
}

/** Looks at processes every half second while `work` goes on: the most memory and descriptors, and the share of a core; and how busy all cores were, whoever it was, in %. */
async function watched<Result> (pids: Record<string, number>, connections: () => Promise<number>, work: () => Promise<Result>) {
  const most: Record<string, Holding> = {}
  const before = Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, holdingOf(pid).cpu]))
  let database = 0
  const look = async () => {
    for (const [name, pid] of Object.entries(pids)) {
      const now = holdingOf(pid)
      const max = most[name] ??= now
      for (const key of ['memory', 'descriptors', 'threads'] as const) max[key] = Math.max(max[key], now[key])
    }
    database = Math.max(database, await connections())
  }
  const began = performance.now()
  const cores = coresNow()
  const timer = setInterval(() => { look().catch(() => {}) }, 500)
  const result = await work().finally(() => clearInterval(timer))
  const took = performance.now() - began
  await look()
  const { idle, all } = coresNow()
  const machine = (1 - (idle - cores.idle) / (all - cores.all)) * 100
  const processes = Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, { cpu: (holdingOf(pid).cpu - before[name]!) / took * 100, memory: most[name]!.memory, descriptors: most[name]!.descriptors }]))
  return { result, processes, database, machine }
}

const show = (processes: Record<string, { cpu: number, memory: number, descriptors: number }>) => Object.entries(processes).map(([name, { cpu, memory, descriptors }]) => `${name} ${cpu.toFixed(0)} % ${memory.toFixed(0)} MB ${descriptors} fds`).join(', ')

async function setting (env: NodeJS.ProcessEnv = {}) {
  const all = await neighbourhood({ built: true, env: { NODE_ENV: 'production', LOG_LEVEL: 'warn', MAX_SESSIONS_PER_USER: '5', ...env } })
  const connections = async () => (await all.query<{ n: number }>('select count(*)::int as n from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()'))[0]!.n
  const left = async () => ({ rows: (await all.query('select count(*)::int as n from sessions where state in (\'starting\', \'live\', \'ending\')'))[0].n as number, rooms: (await all.rooms.listRooms()).length })
  return { ...all, connections, left, pids: { service: all.service.pid, LiveKit: all.livekit.pid } }
}

await prove({
  'as many users as the customers wrote': async () => {
    const { service, secret, pids, connections, left } = await setting()
    console.log('  | users | requests a second | start p50 / p95 / p99 ms | all p50 / p95 / p99 ms | failed | service | LiveKit | database connections |\n  |---|---|---|---|---|---|---|---|')
    for (const users of LEVELS) {
      const { result, processes, database } = await watched(pids, connections, () => k6({ URL: service.url, SECRET: secret, USERS: String(users), SECONDS: String(SECONDS), PAUSE: '1', RUN: String(users) }))
      const trend = (name: string) => ['med', 'p(95)', 'p(99)'].map((key) => result[name]!.values[key]!.toFixed(0)).join(' / ')
      const failed = ['start', 'status', 'active', 'token', 'end'].reduce((sum, name) => sum + (result[`checks{name:${name}}`]?.values.fails ?? 0), 0)
      const count = result.http_req_duration!.values.count!
      kept[users] = { requests: count, failed, start: result['http_req_duration{name:start}']!.values, all: result.http_req_duration!.values, processes, database }
      const cell = (one: { cpu: number, memory: number, descriptors: number }) => `${one.cpu.toFixed(0)} %, ${one.memory.toFixed(0)} MB, ${one.descriptors} fds`
      console.log(`  | ${users} | ${(count / SECONDS).toFixed(0)} | ${trend('http_req_duration{name:start}')} | ${trend('http_req_duration')} | ${failed} | ${cell(processes.service!)} | ${cell(processes.LiveKit!)} | ${database} |`)
      claim(`${users} users: no failure, half of all under ${PROMISED} ms`, failed === 0 && result.http_req_duration!.values.med! < PROMISED)
      const quiet = await until(async () => { const { rows, rooms } = await left(); return rows + rooms === 0 }, 60_000)
      claim(`${users} users: nothing is left`, quiet < Infinity, seconds(quiet))
    }
  },

  'more than it can take': async () => {
    const { service, secret, pids, connections, left, call } = await setting()
    const { result, processes } = await watched(pids, connections, () => k6({ URL: service.url, SECRET: secret, USERS: '1000', SECONDS: '15', PAUSE: '0', RUN: 'over' }))
    const count = result.http_req_duration!.values.count!
    const refused = result['checks{name:start}'] ? ['start', 'status', 'active', 'token', 'end'].reduce((sum, name) => sum + (result[`checks{name:${name}}`]?.values.fails ?? 0), 0) : 0
    console.log(`  1,000 users without a pause: ${count} requests in 15 s, ${refused} refused, p50 ${result.http_req_duration!.values.med!.toFixed(0)} ms, p99 ${result.http_req_duration!.values['p(99)']!.toFixed(0)} ms; ${show(processes)}`)
    kept.beyond = { requests: count, refused, all: result.http_req_duration!.values, processes }
    const again = await until(async () => (await call('after', 'GET', '/voice-sessions/active')).status === 200, 30_000)
    claim('it is itself again', again < 5000, seconds(again))
    const quiet = await until(async () => { const { rows, rooms } = await left(); return rows === rooms }, 60_000)
    claim('no session half made: as many rows as rooms', quiet < Infinity, JSON.stringify(await left()))
  },

  'with sound': async () => {
    const { livekit, start, end, query, pids, connections } = await setting({ MAX_SESSIONS_PER_USER: '50' })
    const there = async (room: string) => (await query<{ agent_state: string }>('select agent_state from sessions where room_name = $1', [room]))[0]!.agent_state === 'joined'
    const agent = await startEchoAgent({ livekit, agentName: 'voice-agent', say: () => {} })
    try {
      for (const width of [1, 2, 5, 10]) {
        // One after the other: the process of an agent costs a core two seconds, and this is about the sound.
        const calls: Array<{ user: string, room: string, caller: Awaited<ReturnType<typeof joinRoom>> }> = []
        for (let n = 0; n < width; n++) {
          const user = `sound-${width}-${n}`
          const { room_name: room, token } = await start(user)
          calls.push({ user, room, caller: await joinRoom({ url: livekit.url, token, killable: true }) }) // a process each: ten callers are more than one can play for
          await until(() => there(room), 30_000)
        }
        const { result, processes, machine } = await watched({ ...pids, agents: agent.pid }, connections, () => Promise.allSettled(calls.map(({ caller }) => caller.echo(BEEPS))))
        const trips = result.flatMap((one) => one.status === 'fulfilled' ? one.value : [])
        for (const reason of new Set(result.flatMap((one) => one.status === 'rejected' ? [String(one.reason.message)] : []))) console.log(`  a call without sound: ${reason}`)
        for (const { user, room, caller } of calls) {
          await caller.leave()
          await end(user, room)
        }
        kept[`sound ${width}`] = { median: percentile(trips, 0.5), p95: percentile(trips, 0.95), back: trips.length / (width * BEEPS), processes, machine }
        console.log(`  ${width} calls at once: ${trips.length} of ${width * BEEPS} beeps came back within their second, median ${percentile(trips, 0.5).toFixed(0)} ms, 95 % within ${percentile(trips, 0.95).toFixed(0)} ms; all cores ${machine.toFixed(0)} % busy: ${show(processes)}, the rest callers`)
        claim(`${width} calls at once: every sound there and back, as long as the cores are not full`, trips.length === width * BEEPS || machine > FULL)
        await sleep(3000)
      }
    } finally {
      await agent.stop()
    }
  },

  'LiveKit\'s own load tester': async () => {
    const { livekit, start, end, pids, connections } = await setting({ VOICE_AGENT_NAME: '', DEPARTURE_TIMEOUT: '600' })
    for (const width of [10, 50, 100, 200]) {
      const calls = await Promise.all(Array.from({ length: width }, async (_, n) => {
        const user = `tested-${width}-${n}`
        return { user, room: (await start(user)).room_name as string }
      }))
      const { result, processes, machine } = await watched(pids, connections, () => Promise.all(calls.map(async ({ room }, n) => {
        await sleep(n * RAMP)
        return loadTest(livekit, room)
      })))
      const packets = result.reduce((sum, one) => sum + one.packets, 0)
      const lost = result.reduce((sum, one) => sum + one.lost, 0)
      await Promise.all(calls.map(({ user, room }) => end(user, room)))
      kept[`load tester ${width}`] = { heard: result.filter((one) => one.packets > 0).length, packets, lost, processes, machine }
      console.log(`  ${width} calls: ${packets} packets came, ${lost} were lost; all cores ${machine.toFixed(0)} % busy: ${show(processes)}, the rest callers`)
      claim(`${width} calls: each is heard, and loses less than 1 % as long as the cores are not full`, (result.every((one) => one.packets > 0) && lost < packets / 100) || machine > FULL, `${result.filter((one) => one.packets > 0).length} of ${width}`)
    }
  },

  kept: async () => {
    await writeFile(results, JSON.stringify(kept, null, 2) + '\n')
    console.log(`  ${results}`)
  }
})
