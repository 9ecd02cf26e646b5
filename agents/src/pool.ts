// The framework's pool of warm job processes, with what it lacks: it notices that one of them has ended.
import type { ChildProcess } from 'node:child_process'

/** Of @livekit/agents 1.9.0, ipc/proc_pool.ts and ipc/job_proc_executor.ts there, what is used here. */
interface FrameworkPool {
  warmedProcQueue: { items: Array<{ proc: Executor, unlock (): void }> }
  start (): void
  launchJob (job: RunningJob): Promise<void>
}
interface Executor {
  proc: ChildProcess
  launchJob (job: RunningJob): Promise<void>
}
interface RunningJob { job: { id: string } }

/** How often a job is given to another process. Whoever kills the idle processes may kill several in the same moment. */
const MAX_REPETITIONS = 3

/**
 * Takes hold of the pool of the AgentServer that is created next.
 *
 * The pool never looks again at a process that waits: when one has been killed, the next job is sent to it and is lost, and none takes
 * its place before that. The package does not export the pool, and AgentServer keeps it in a private field: so it is caught as it
 * starts, by the modules that the package's index imports too.
 * @param beside what each process is given with its call, as a part of its `ctx.info`.
 * @throws when they are not there; `AgentServer.run` does when the pool has changed: rather no worker than one that loses calls.
 */
export async function holdPool (beside: () => object) {
  const { ProcPool, JobProcExecutor } = await modules()
  const { start, launchJob: assign } = ProcPool.prototype
  const { launchJob } = JobProcExecutor.prototype
  let pool: FrameworkPool | undefined
  let open = true
  const given = new WeakMap<ChildProcess, RunningJob>()
  const repetitions = new Map<string, number>()
  let onAssigned: (jobId: string) => void = () => {}
  let onGiven: (jobId: string) => void = () => {}

  ProcPool.prototype.start = function (this: FrameworkPool) {
    if (!Array.isArray(this.warmedProcQueue?.items)) throw new Error('ProcPool is not as it was: see pool.ts before upgrading @livekit/agents')
    pool = this
    start.call(this)
  }
  ProcPool.prototype.launchJob = function (this: FrameworkPool, job: RunningJob) {
    onAssigned(job.job.id)
    return assign.call(this, job)
  }
  // The pool forgets a process as soon as sending to it fails, which may be before its end is known.
  JobProcExecutor.prototype.launchJob = function (this: Executor, job: RunningJob) {
    given.set(this.proc, job)
    onGiven(job.job.id)
    return launchJob.call(this, { ...job, ...beside() })
  }

  return {
    /** Processes that are warm and wait for a job. */
    idle: () => pool?.warmedProcQueue.items.length ?? 0,
    /** Calls `listener` with each job that LiveKit has assigned: it waits for a process that is warm. */
    onAssigned (listener: (jobId: string) => void) { onAssigned = listener },
    /** Whether a process has been given a job, entered or not. */
    isGiven: (child: ChildProcess) => given.has(child),
    /** Calls `listener` with each job that is given to a process: from now on it is among the pool's own. */
    onGiven (listener: (jobId: string) => void) { onGiven = listener },
    /**
     * To be told of every process that has ended without having entered a room.
     * @returns `waiting`: it was warm, another takes its place; `job`: it had just been given a job, which goes to another process;
     *   undefined: neither, or the pool is closed.
     */
    ended (child: ChildProcess): 'waiting' | 'job' | undefined {
      if (!pool || !open) return
      const { items } = pool.warmedProcQueue
      const place = items.findIndex(({ proc }) => proc.proc === child)
      if (place >= 0) {
        items.splice(place, 1)[0]!.unlock()
        return 'waiting'
      }
      const job = given.get(child)
      if (!job) return
      const count = repetitions.get(job.job.id) ?? 0
      // It may be the job that ends the process: then it is the service's, which counts its dispatches.
      if (count >= MAX_REPETITIONS) return
      repetitions.set(job.job.id, count + 1)
      pool.launchJob(job).catch(() => {})
      return 'job'
    },
    /** From now on what ends is not replaced. */
    close () { open = false }
  }
}

export type Pool = Awaited<ReturnType<typeof holdPool>>

async function modules () {
  const index = import.meta.resolve('@livekit/agents')
  const load = (file: string) => import(new URL(file, index).href)
  const { ProcPool } = await load('./ipc/proc_pool.js') as { ProcPool: { prototype: FrameworkPool } }
  const { JobProcExecutor } = await load('./ipc/job_proc_executor.js') as { JobProcExecutor: { prototype: Executor } }
  return { ProcPool, JobProcExecutor }
}
