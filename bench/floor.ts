// `npm run bench:floor`: what a request costs the service, beside a process that does its round trips and nothing else, in turns.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { Pool } from 'undici'
import { signUserToken } from '../dev/demo/token.ts'
import { freeTcpPort, startLiveKit } from '../dev/livekit/livekit.ts'
import { median } from '../dev/prove/figures.ts'
import { cpuOf } from '../dev/prove/processes.ts'
import { benchParts, callAsFast } from './parts.ts'

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '2' }, json: { type: 'string', default: 'bench/results/floor.json' } } })

/** CPU of the process (us) and time (ms) of one request; medians over the rounds. */
export interface Cost { cpu: number, ms: number }
export type Floor = Array<{ operation: string, inFlight: number, service: Cost, bare: Cost }>

type Call = (operation: string, n: number) => Promise<unknown> | undefined
interface Side { pid: number, call: Call }

const OPERATIONS = ['start', 'status', 'active', 'end']

const parts = await benchParts()
const port = await freeTcpPort()
const livekit = await startLiveKit({ log: console.error, webhookUrl: `http://127.0.0.1:${port}/webhook`, config: { logging: { level: 'warn' } } })
const bareProcess = spawn(process.execPath, ['--import=tsx', 'bench/bare.ts'], { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, NODE_ENV: 'production', PORT: String(port), DATABASE_URL: parts.databaseUrl, LIVEKIT_URL: livekit.url, LIVEKIT_API_KEY: livekit.apiKey, LIVEKIT_API_SECRET: livekit.apiSecret } })
await once(bareProcess.stdout, 'data')

const service = { pid: parts.service.pid, call: throughService(new Pool(parts.service.url, { connections: 64, pipelining: 1 })) }
const bare = { pid: bareProcess.pid!, call: alone(new Pool(`http://127.0.0.1:${port}`, { connections: 64, pipelining: 1 })) }
const figures: Record<string, { service: Cost[], bare: Cost[] }> = {}
const widths = [1, 10]
for (const side of [service, bare]) for (const operation of OPERATIONS) await measure(side, operation, 10) // warm
for (let round = 0; round < Number(values.rounds); round++) {
  for (const width of widths) {
    for (const operation of OPERATIONS) {
      const cell = figures[`${operation} ${width}`] ??= { service: [], bare: [] }
      cell.service.push(await measure(service, operation, width))
      cell.bare.push(await measure(bare, operation, width))
    }
  }
  console.error(`  round ${round + 1} of ${values.rounds}`)
}
const middle = (costs: Cost[]): Cost => ({ cpu: median(costs.map(({ cpu }) => cpu)), ms: median(costs.map(({ ms }) => ms)) })
const floor: Floor = Object.entries(figures).map(([name, cell]) => ({ operation: name.split(' ')[0]!, inFlight: Number(name.split(' ')[1]), service: middle(cell.service), bare: middle(cell.bare) }))
console.log('| operation | in flight | service CPU us | its round trips alone | times | service ms | its round trips alone | times |\n|---|---|---|---|---|---|---|---|')
for (const { operation, inFlight, service: s, bare: b } of floor) console.log(`| ${operation} | ${inFlight} | ${s.cpu.toFixed(0)} | ${b.cpu.toFixed(0)} | ${(s.cpu / b.cpu).toFixed(2)} | ${s.ms.toFixed(2)} | ${b.ms.toFixed(2)} | ${(s.ms / b.ms).toFixed(2)} |`)
writeFileSync(values.json, JSON.stringify(floor, null, 2) + '\n')
bareProcess.kill()
await livekit.stop()
await parts.stop()
process.exit(0)

async function measure ({ pid, call }: Side, operation: string, width: number): Promise<Cost> {
  const cpu = cpuOf(pid)
  const { times } = await callAsFast((n) => call(operation, n), width, Number(values.seconds))
  return { cpu: (cpuOf(pid) - cpu) * 1000 / times.length, ms: median(times) }
}

async function ask (pool: Pool, method: 'GET' | 'POST' | 'DELETE', path: string, headers = {}): Promise<{ room_name: string }> {
  const { statusCode, body } = await pool.request({ path, method, headers })
  const answer = await body.json() as { room_name: string }
  if (statusCode !== 200) throw new Error(`${method} ${path}: ${statusCode} ${JSON.stringify(answer)}`)
  return answer
}

function throughService (pool: Pool): Call {
  const tokens = Array.from({ length: 30_000 }, (_, n) => signUserToken(parts.secret, { sub: `user-${n}` })) // signed before anything is measured
  const started: Array<{ user: number, room: string }> = []
  let count = 0
  const api = (user: number, method: 'GET' | 'POST' | 'DELETE', path: string) => ask(pool, method, `/api/v1/voice-sessions${path}`, { authorization: `Bearer ${tokens[user]}` })
  return (operation, n) => {
    if (operation === 'start') {
      const user = count++
      return api(user, 'POST', '/start').then(({ room_name: room }) => started.push({ user, room }))
    }
    const one = operation === 'end' ? started.pop() : started[n % started.length]
    return one && (operation === 'end' ? api(one.user, 'DELETE', `/${one.room}`) : api(one.user, 'GET', operation === 'status' ? `/${one.room}/status` : '/active'))
  }
}

function alone (pool: Pool): Call {
  const rooms: string[] = []
  let count = 0
  return (operation) => {
    if (operation === 'start') {
      const name = `bare-${count++}`
      return ask(pool, 'POST', `/start/${name}`).then(() => rooms.push(name))
    }
    if (operation !== 'end') return ask(pool, 'GET', `/${operation}`)
    const name = rooms.pop()
    return name === undefined ? undefined : ask(pool, 'DELETE', `/end/${name}`)
  }
}
