// A real LiveKit server on this machine's loopback: found or built, started and stopped for tests and the demo.
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { get } from 'node:http'
import { createServer } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { find, isExecutable } from '../find.ts'
import { guard } from '../guard.ts'
import { buildLiveKit, type Log } from './build-livekit.ts'

/** The version this project is tested with, and the one that is built. */
export const LIVEKIT_VERSION = '1.13.5'

const MODULE = 'github.com/livekit/livekit-server/cmd/server'
const HEALTHY_WITHIN = 10_000 // ms; 45 to 221 are usual
const STOPS_WITHIN = 2500 // ms; usual are 12 without rooms, 2000 with some; a server with somebody inside waits for them for ever
const DEAF = 150 // ms after it is healthy in which LiveKit 1.13.5 takes a SIGTERM for done and goes on running
const LOG_LINES = 200

/** A server that can be started: its file, its version and where it was found. */
export interface FoundLiveKit {
  binary: string
  version: string
  from: 'LIVEKIT_SERVER_BIN' | 'PATH' | 'cache' | 'build'
}

export interface LiveKitOptions {
  /** Executable to run; found with findLiveKit() when not given. */
  binary?: string
  /** TCP port of the API and the signalling; any free one when not given. */
  port?: number
  /** UDP port of the media; any free one when not given. */
  udpPort?: number
  /** Secret of its API key; a random one when not given. Nodes of one LiveKit share it. */
  apiSecret?: string
  /** Where webhooks go; none are sent without it. */
  webhookUrl?: string
  /** Whether a join or a dispatch creates a missing room. LiveKit's own default is true, this project's deployment has false. */
  autoCreate?: boolean
  /** Seconds a room waits for a user who left, when CreateRoom does not say. */
  departureTimeout?: number
  /** Reported load from which a worker gets no jobs. LiveKit's default 0.7 silently drops jobs on a busy machine. */
  targetLoad?: number
  /** More of the server's configuration, merged into ours section by section. */
  config?: Record<string, unknown>
  log?: Log
}

export type LiveKit = Awaited<ReturnType<typeof startLiveKit>>

/**
 * Finds a LiveKit server: the file named by LIVEKIT_SERVER_BIN, `livekit-server` on PATH, this project's cache
 * ($XDG_CACHE_HOME or ~/.cache), or builds one into that cache with Go (2 to 6 minutes, progress goes to `log`).
 * @throws when LIVEKIT_SERVER_BIN does not run (it is never passed over), or when there is nothing to run and nothing to build with.
 */
export async function findLiveKit ({ log = () => {} }: { log?: Log } = {}): Promise<FoundLiveKit> {
  const named = process.env.LIVEKIT_SERVER_BIN
  if (named) return { binary: named, version: await versionOf(named), from: 'LIVEKIT_SERVER_BIN' }

  const installed = await find('livekit-server')
  if (installed) return { binary: installed, version: await versionOf(installed), from: 'PATH' }

  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache')
  const binary = join(cache, 'livekit-sessions', `livekit-server-v${LIVEKIT_VERSION}`, 'server')
  if (await isExecutable(binary)) return { binary, version: await versionOf(binary), from: 'cache' }

  await buildLiveKit({ module: MODULE, version: `v${LIVEKIT_VERSION}`, target: binary, log })
  return { binary, version: await versionOf(binary), from: 'build' }
}

/**
 * Starts a server that listens on 127.0.0.1 only and resolves once it is healthy. It ends with this process, however that ends.
 * @throws with the end of its log when it exits or is not healthy within 10 s, and when a port that was asked for is taken.
 */
export async function startLiveKit (options: LiveKitOptions = {}) {
  const { autoCreate = false, targetLoad = 2, log = () => {} } = options
  const { binary, version } = options.binary
    ? { binary: options.binary, version: await versionOf(options.binary) }
    : await findLiveKit({ log })
  const [port, udpPort] = await Promise.all([freeTcpPort(options.port), freeUdpPort(options.udpPort)])
  const apiKey = 'devkey'
  const apiSecret = options.apiSecret ?? randomBytes(32).toString('hex')
  const folder = await mkdtemp(join(tmpdir(), 'livekit-'))
  const file = join(folder, 'livekit.yaml')

  const config: Record<string, unknown> = {
    port,
    bind_addresses: ['127.0.0.1'],
    // Without enable_loopback_candidate there is no media socket on lo; without a stun server of our own, clients are sent to public ones.
    rtc: {
      node_ip: '127.0.0.1',
      use_external_ip: false,
      udp_port: udpPort,
      tcp_port: 0,
      enable_loopback_candidate: true,
      interfaces: { includes: ['lo'] },
      stun_servers: ['127.0.0.1:3478']
    },
    keys: { [apiKey]: apiSecret },
    room: { auto_create: autoCreate, ...(options.departureTimeout !== undefined && { departure_timeout: options.departureTimeout }) },
    agents: { target_load: targetLoad },
    ...(options.webhookUrl && { webhook: { api_key: apiKey, urls: [options.webhookUrl] } })
  }
  for (const [section, value] of Object.entries(options.config ?? {})) {
    config[section] = isSection(config[section]) && isSection(value) ? { ...config[section], ...value } : value
  }
  await writeFile(file, JSON.stringify(config), { mode: 0o600 }) // JSON is YAML

  const lines: string[] = []
  const tail = () => lines.join('\n')
  let running: Running
  let healthyAt = 0

  const start = async () => {
    running = run(binary, ['--config', file], folder, (line) => {
      lines.push(line)
      if (lines.length > LOG_LINES) lines.shift()
    })
    const giveUp = Date.now() + HEALTHY_WITHIN
    while (!await healthy(port)) {
      if (running.ended()) throw new Error(`The LiveKit server did not start (${binary}):\n${tail()}`)
      if (Date.now() > giveUp) throw new Error(`The LiveKit server was not healthy within ${HEALTHY_WITHIN} ms (${binary}):\n${tail()}`)
      await sleep(20)
    }
    healthyAt = performance.now()
  }

  const halt = async () => {
    if (!running.ended()) await sleep(Math.max(0, healthyAt + DEAF - performance.now()))
    running.child.kill('SIGTERM')
    const patience = setTimeout(() => running.child.kill('SIGKILL'), STOPS_WITHIN)
    await running.exited
    clearTimeout(patience)
  }

  const stop = async () => {
    await halt()
    await rm(folder, { recursive: true, force: true })
  }

  try {
    await start()
  } catch (error) {
    await running!.kill()
    await rm(folder, { recursive: true, force: true })
    throw error
  }

  return {
    url: `ws://127.0.0.1:${port}`,
    apiKey,
    apiSecret,
    port,
    version,
    /** Process id of the server that runs now; another one after restart(). */
    get pid () { return running.child.pid! },
    /** Ends the server (SIGTERM, after 2.5 s SIGKILL) and removes its folder. */
    stop,
    /** Crashes the server: SIGKILL. No webhook is sent; restart() brings it back with no rooms. */
    kill: () => running.kill(),
    /** Starts it again, if needed after stopping it, with the same ports, key and configuration. */
    restart: async () => {
      await halt()
      await start()
    },
    /** The last lines the server wrote. */
    log: tail
  }
}

interface Running {
  child: ChildProcess
  exited: Promise<void>
  ended: () => boolean
  kill: () => Promise<void>
}

/** Runs the server in a session of its own, so that Ctrl-C reaches us alone and we stop things in order. */
function run (binary: string, args: string[], folder: string, onLine: (line: string) => void): Running {
  const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  createInterface({ input: child.stdout }).on('line', onLine)
  createInterface({ input: child.stderr }).on('line', onLine)
  let over = false
  const exited = new Promise<void>((resolve) => {
    child.once('error', (error) => { onLine(String(error)); over = true; resolve() })
    child.once('exit', () => { over = true; resolve() })
  })
  if (child.pid !== undefined) guard(child, folder)
  return { child, exited, ended: () => over, kill: () => { child.kill('SIGKILL'); return exited } }
}

function healthy (port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port, path: '/', agent: false, timeout: 1000 }, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    request.once('timeout', () => request.destroy())
    request.once('error', () => resolve(false))
  })
}

/** A TCP port of 127.0.0.1 that can be bound: the wanted one, or any. */
export function freeTcpPort (wanted = 0): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(wanted, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}

function freeUdpPort (wanted = 0): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4')
    socket.once('error', reject)
    socket.bind(wanted, '127.0.0.1', () => {
      const { port } = socket.address()
      socket.close(() => resolve(port))
    })
  })
}

async function versionOf (binary: string): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(binary, ['--version'], { timeout: 10_000 })
    return /version v?(\S+)/.exec(stdout)?.[1] ?? 'unknown'
  } catch (error) {
    throw new Error(`The LiveKit server ${binary} does not run: ${(error as Error).message}`, { cause: error })
  }
}

function isSection (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

async function main () {
  const { values } = parseArgs({ options: { build: { type: 'boolean' }, port: { type: 'string' }, webhook: { type: 'string' } } })
  const found = await findLiveKit({ log: console.error })
  console.error(`LiveKit ${found.version} (${found.from}): ${found.binary}`)
  if (values.build) return

  const port = values.port !== undefined ? Number(values.port) : await freeTcpPort(7880).catch(() => 0)
  const server = await startLiveKit({ binary: found.binary, port, webhookUrl: values.webhook })
  console.log(`LIVEKIT_URL=${server.url}\nLIVEKIT_API_KEY=${server.apiKey}\nLIVEKIT_API_SECRET=${server.apiSecret}`)
  console.error('Ctrl-C stops it.')
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => { server.stop().then(() => process.exit(0)) })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main().catch((error) => {
    console.error(error.message)
    process.exitCode = 1
  })
}
