// The service as a process of its own: for what only a real process shows, such as being killed.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { request } from 'undici'
import { freeTcpPort } from '../livekit/livekit.ts'

const source = fileURLToPath(new URL('../../src/server.ts', import.meta.url))
const built = fileURLToPath(new URL('../../dist/src/server.js', import.meta.url))
const READY_WITHIN = 30_000 // ms

export type Service = Awaited<ReturnType<typeof startService>>

/**
 * Starts the service, from its source or as it was built, with the given environment and nothing else, and resolves once it is ready.
 * @param options.checkout another one than this to run its source in
 * @param options.descriptors how many files and connections it may have open; as many as we when not given
 * @param options.flags of Node, for instance to profile it
 * @param options.killed kills it, also before it is ready
 * @throws with what it printed when it exits or is not ready within 30 s
 */
export async function startService (env: NodeJS.ProcessEnv, options: { checkout?: string, descriptors?: number, built?: boolean, flags?: string[], killed?: AbortSignal } = {}) {
  const port = Number(env.PORT) || await freeTcpPort()
  const url = `http://127.0.0.1:${port}`
  let printed = ''
  const began = performance.now()
  const command = [process.execPath, ...options.flags ?? [], ...(options.built ? [built] : ['--import=tsx', options.checkout ? 'src/server.ts' : source])]
  const [program = '', ...args] = options.descriptors ? ['/bin/sh', '-c', `ulimit -n ${options.descriptors} && exec "$0" "$@"`, ...command] : command
  const child = spawn(program, args, { cwd: options.checkout, env: { PATH: process.env.PATH, HOME: process.env.HOME, PORT: String(port), ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  options.killed?.addEventListener('abort', () => child.kill('SIGKILL'))
  const gone = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  child.stdout.on('data', (chunk) => { printed += chunk })
  child.stderr.on('data', (chunk) => { printed += chunk })
  const endWithUs = () => { child.kill('SIGKILL') }
  process.once('exit', endWithUs)
  gone.then(() => process.off('exit', endWithUs))

  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`The service ended with ${child.exitCode ?? child.signalCode}:\n${printed}`)
    if (performance.now() - began > READY_WITHIN) {
      child.kill('SIGKILL')
      throw new Error(`The service was not ready within ${READY_WITHIN} ms:\n${printed}`)
    }
    // Each on a connection of its own: Node 20's fetch can spin for ever on kept connections to a process that was killed.
    const response = await request(`${url}/readyz`, { reset: true }).catch(() => undefined)
    await response?.body.dump()
    if (response?.statusCode === 200) break
    await new Promise((resolve) => { setTimeout(resolve, 25) })
  }

  return {
    url,
    port,
    pid: child.pid!,
    /** From the start of the process to its first ready answer, ms. */
    readyAfter: performance.now() - began,
    /** Whether the process runs. */
    isAlive: () => child.exitCode === null && child.signalCode === null,
    /** Everything it printed. */
    log: () => printed,
    /** SIGTERM; resolves with its exit code. */
    async stop () {
      child.kill('SIGTERM')
      return (await gone)[0]
    },
    /** SIGKILL. */
    async kill () {
      child.kill('SIGKILL')
      await gone
    }
  }
}
