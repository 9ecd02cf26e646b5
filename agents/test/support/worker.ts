// The worker under test, as its own process: run from the TypeScript source, or from dist/ with WORKER_BUILT (as it is deployed).
import { join } from 'node:path'
import { freePort, start, until, type Started } from './processes.ts'

const FOLDER = join(import.meta.dirname, '../..')
/** Options of Node, for measurements. */
const OPTIONS = process.env.WORKER_OPTIONS?.split(' ') ?? []
const MAIN = process.env.WORKER_BUILT ? ['dist/main.js'] : ['--import', 'tsx', 'src/main.ts']

export interface RunningWorker extends Started {
  /** Address of its health port. */
  url: string
  /** What /readyz says now. */
  health (): Promise<{ registered: boolean, draining: boolean, active_jobs: number, idle_processes: number, avatars: Record<string, number> }>
  /** Log lines so far, parsed. */
  lines (): Array<Record<string, unknown> & { msg: string }>
  /** The process that serves a session; without one, the last that has joined. */
  pidOf (session?: { metadata: Record<string, unknown> }): number
}

/** Starts `agent` and waits until LiveKit knows it and its idle processes are warm. */
export async function startWorker (agent: string[], env: Record<string, string | undefined>, ready = true): Promise<RunningWorker> {
  const port = await freePort()
  const worker = start(process.execPath, [...OPTIONS, ...MAIN, ...agent], { cwd: FOLDER, env: { HEALTH_PORT: String(port), ...env } })
  const url = `http://127.0.0.1:${port}`
  const health = async () => (await fetch(`${url}/readyz`)).json() as ReturnType<RunningWorker['health']>
  const idle = Number(env.LIVEKIT_WORKER_NUM_IDLE ?? 2)
  if (ready) {
    await until(() => `the worker does not register:\n${worker.output()}`, async () => {
      if (worker.child.exitCode !== null) throw new Error(`the worker ended:\n${worker.output()}`)
      const state = await health().catch(() => undefined)
      return state?.registered && state.idle_processes >= idle
    }, 60_000)
  }
  const lines = () => worker.output().split('\n').slice(0, -1).filter((line) => line.startsWith('{')).map((line) => JSON.parse(line))
  return {
    ...worker,
    // Twice: the second signal ends the calls that a test has left behind.
    stop () {
      setTimeout(() => worker.child.kill('SIGTERM'), 500).unref()
      return worker.stop()
    },
    url,
    health,
    lines,
    pidOf: (session) => lines().findLast(({ msg, session_id: id }) => msg === 'agent joined' && (!session || id === session.metadata.session_id))?.pid
  }
}
