// The agents' worker for the demo: installed and built on first use, started as the echo agent, stopped with the demo.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { createHash } from 'node:crypto'
import { freeTcpPort } from '../livekit/livekit.ts'

const folder = fileURLToPath(new URL('../../agents/', import.meta.url))
const READY_WITHIN = 30_000 // ms

/** Installs and builds agents/ unless it is there as its lock file and sources have it. Takes a minute the first time. */
async function prepare (say: (line: string) => void): Promise<void> {
  const stamp = `${folder}node_modules/.demo`
  const wanted = createHash('sha256').update(await readFile(`${folder}package-lock.json`)).digest('hex')
  if (await readFile(stamp, 'utf8').catch(() => '') !== wanted) {
    await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], 'installing the agents (once, about 500 MB)', say)
    await writeFile(stamp, wanted)
  }
  if (!await access(`${folder}dist/main.js`).then(() => true, () => false)) await run('npm', ['run', 'build'], 'building the agents', say)
}

async function run (command: string, args: string[], what: string, say: (line: string) => void): Promise<void> {
  const began = performance.now()
  const seconds = () => `${Math.round((performance.now() - began) / 1000)} s`
  say(`${what}...`)
  const progress = setInterval(() => say(`  still ${what}: ${seconds()}`), 5000)
  const child = spawn(command, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  let printed = ''
  child.stdout.on('data', (chunk) => { printed += chunk })
  child.stderr.on('data', (chunk) => { printed += chunk })
  const [code] = await once(child, 'close')
  clearInterval(progress)
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} in agents/ failed:\n${printed.slice(-2000)}`)
  say(`  done in ${seconds()}`)
}

/**
 * Starts the echo agent as a worker that registers as `agentName`, and resolves when LiveKit knows it.
 * @throws with what it printed when it ends or is not ready within 30 s
 */
export async function startEchoAgent ({ livekit, agentName, say }: { livekit: { url: string, apiKey: string, apiSecret: string }, agentName: string, say: (line: string) => void }) {
  await prepare(say)
  const port = await freeTcpPort()
  const child = spawn(process.execPath, ['dist/main.js', 'echo'], {
    cwd: folder,
    detached: true, // Ctrl-C is for the demo, which stops it
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      LIVEKIT_URL: livekit.url,
      LIVEKIT_API_KEY: livekit.apiKey,
      LIVEKIT_API_SECRET: livekit.apiSecret,
      VOICE_AGENT_NAME: agentName,
      LIVEKIT_WORKER_NUM_IDLE: '1',
      HEALTH_PORT: String(port),
      LOG_LEVEL: 'info'
    }
  })
  let printed = ''
  child.stdout.on('data', (chunk) => { printed += chunk })
  child.stderr.on('data', (chunk) => { printed += chunk })
  const gone = once(child, 'exit')
  const endWithUs = () => { child.kill('SIGKILL') }
  process.once('exit', endWithUs)

  for (const began = performance.now(); ;) {
    if (child.exitCode !== null || child.signalCode !== null || performance.now() - began > READY_WITHIN) {
      child.kill('SIGKILL')
      throw new Error(`The echo agent did not come up:\n${printed.slice(-2000)}`)
    }
    const health = await fetch(`http://127.0.0.1:${port}/readyz`).then((response) => response.json(), () => undefined) as { registered?: boolean, idle_processes?: number } | undefined
    if (health?.registered && health.idle_processes) break
    await new Promise((resolve) => { setTimeout(resolve, 100) })
  }

  return {
    /** Address of its health and metrics. */
    url: `http://127.0.0.1:${port}`,
    pid: child.pid!,
    async stop () {
      child.kill('SIGTERM')
      // A second signal ends calls that still run.
      const patience = setTimeout(() => child.kill('SIGTERM'), 2000)
      const last = setTimeout(() => child.kill('SIGKILL'), 8000)
      await gone
      clearTimeout(patience)
      clearTimeout(last)
      process.off('exit', endWithUs)
    }
  }
}
