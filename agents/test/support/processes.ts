// Child processes of the tests: started, waited for, and ended with the test.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** A free TCP port of the loopback address. */
export async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

export interface Started {
  child: ChildProcess
  /** Everything it has printed so far. */
  output (): string
  /** SIGTERM, then SIGKILL after `grace` milliseconds; resolves with the exit code. */
  stop (grace?: number): Promise<number | null>
}

/** What runs: it ends with the tests, also with one that failed before it could say how. */
const running = new Set<ChildProcess>()
process.once('exit', () => { for (const child of running) child.kill('SIGKILL') })

/** Starts a program; its output is kept, not shown, and also written to files in the folder TEST_LOGS names. */
export function start (command: string, args: string[], options: { cwd?: string, env?: Record<string, string | undefined> } = {}): Started {
  const child = spawn(command, args, { cwd: options.cwd, env: { ...process.env, ...options.env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  const keep = (chunk: Buffer) => {
    text += chunk
    if (process.env.TEST_LOGS) appendFileSync(join(process.env.TEST_LOGS, `${child.pid}.log`), chunk)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  running.add(child)
  const exited = once(child, 'exit')
  child.once('exit', () => running.delete(child))
  return {
    child,
    output: () => text,
    async stop (grace = 15_000) {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM')
        const killer = setTimeout(() => child.kill('SIGKILL'), grace)
        await exited
        clearTimeout(killer)
      }
      return child.exitCode
    }
  }
}

/** Waits until `check` gives something truthy, and gives that back; throws `what` after `limit` milliseconds. */
export async function until<T> (what: string | (() => string), check: () => T | Promise<T>, limit = 10_000): Promise<NonNullable<Exclude<T, false>>> {
  const end = performance.now() + limit
  for (;;) {
    const value = await check()
    if (value) return value as NonNullable<Exclude<T, false>>
    if (performance.now() > end) throw new Error(`timed out: ${typeof what === 'string' ? what : what()}`)
    await sleep(10)
  }
}

/** Whether an HTTP address answers 200. */
export async function answers (url: string): Promise<boolean> {
  return fetch(url, { signal: AbortSignal.timeout(1000) }).then((response) => response.ok, () => false)
}
