// The agents' worker for the demo: installed and built on first use, started as the echo agent, stopped with the demo.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { freeTcpPort } from '../livekit/livekit.ts'
import { prepare } from './prepare.ts'

const READY_WITHIN = 30_000 // ms

/**
 * Starts the echo agent as a worker that registers as `agentName`, and resolves when LiveKit knows it.
 * @throws with what it printed when it ends or is not ready within 30 s
 */
export async function startEchoAgent ({ livekit, agentName, say }: { livekit: { url: string, apiKey: string, apiSecret: string }, agentName: string, say: (line: string) => void }) {
  const folder = await prepare({ folder: 'agents', name: 'the agents', size: '500 MB', built: 'dist/main.js', sources: ['src', 'package.json'], args: ['--ignore-scripts'] }, say)
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
