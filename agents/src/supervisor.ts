// Watches the worker's child processes: counts them, collects their reports, and cleans up after those that crash.
import type { ChildProcess } from 'node:child_process'
import diagnostics from 'node:diagnostics_channel'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from './log.ts'
import type { Metrics } from './metrics.ts'
import type { Pool } from './pool.ts'
import { reportIn, type AvatarState, type Report } from './reports.ts'

/** Milliseconds before each try to remove a ghost. */
const PAUSES = [0, 500, 1500, 4000]

type Entering = Extract<Report, { type: 'entering' }>
interface Exit { code: number | null, signal: string | null, reason?: string }
interface Job { child: ChildProcess, call?: Entering, left: boolean, stopped?: boolean, reason?: string, avatar?: AvatarState }

export interface SupervisorOptions {
  log: Logger
  metrics: Metrics
  pool: Pick<Pool, 'ended'>
  /** Removes a crashed job's participant from its room. */
  removeGhost (room: string, identity: string): Promise<void>
}

/**
 * Starts watching. The framework keeps its child processes to itself, so they are seen as Node announces them
 * (diagnostics channel `child_process`). Create it before the AgentServer.
 */
export function createSupervisor ({ log, metrics, pool, removeGhost }: SupervisorOptions) {
  const jobs = new Set<Job>()
  const cleanings = new Set<Promise<void>>()
  let inferenceAlive = true

  const watch = (message: unknown) => {
    const child = (message as { process: ChildProcess }).process
    // The arguments are set when the process has been spawned, not yet when it is announced.
    child.once('spawn', () => {
      const script = child.spawnargs.find((argument) => argument.includes('proc_lazy_main')) ?? ''
      if (script.includes('job_proc')) watchJob(child)
      if (script.includes('inference_proc')) {
        inferenceAlive = true
        child.once('exit', () => { inferenceAlive = false })
      }
    })
  }

  function watchJob (child: ChildProcess): void {
    const job: Job = { child, left: false }
    jobs.add(job)
    child.on('message', (message) => {
      const report = reportIn(message)
      if (report) collect(job, report)
    })
    child.once('exit', (code, signal) => {
      jobs.delete(job)
      countAvatars()
      if (!job.call) return endedIdle(job, { code, signal, reason: job.reason })
      if (job.left) return metrics.jobs.inc({ outcome: 'ended' })
      const cleaning = crashed(job.call, { code, signal, reason: job.reason })
        .catch((error) => log.error({ error }, 'cleaning up failed'))
        .finally(() => cleanings.delete(cleaning))
      cleanings.add(cleaning)
    })
  }

  function endedIdle (job: Job, how: Exit): void {
    const was = pool.ended(job.child)
    if (was === 'waiting') log.error(how, 'idle process ended, another takes its place')
    else if (was === 'job') log.error(how, 'idle process ended when it was given a job, another is given it')
    else if (how.code !== 0 && !job.stopped) log.error(how, 'idle process crashed')
  }

  function collect (job: Job, report: Report): void {
    switch (report.type) {
      case 'entering': job.call = report; break
      case 'left': job.left = true; break
      case 'crashing': job.reason = report.reason; break
      case 'tool': metrics.toolCalls.inc({ server: report.server, outcome: report.outcome }); break
      case 'text': metrics.texts.inc({ outcome: report.outcome }); break
      case 'failure': metrics.failures.inc({ part: report.part }); break
      case 'failover':
        metrics.failovers.inc({ part: report.part, provider: report.provider, to: report.available ? 'back' : 'next' })
        log[report.available ? 'info' : 'warn']({ session_id: job.call?.sessionId, part: report.part, provider: report.provider }, report.available ? 'a provider is back' : 'a provider failed, the next one is asked')
        break
      case 'answer': metrics.answers.observe(report.seconds); break
      case 'part': metrics.parts.observe({ part: report.part }, report.seconds); break
      case 'first_sound': metrics.firstSounds.observe(report.seconds); break
      case 'avatar':
        job.avatar = report.state
        metrics.avatarChanges.inc({ state: report.state })
        countAvatars()
    }
  }

  function countAvatars (): void {
    for (const state of ['starting', 'ready', 'failed'] as const) metrics.avatars.set({ state }, avatars()[state])
  }

  function avatars (): Record<AvatarState, number> {
    const count = { starting: 0, ready: 0, failed: 0 }
    for (const { avatar } of jobs) if (avatar) count[avatar]++
    return count
  }

  async function crashed (call: Entering, how: Exit): Promise<void> {
    const about = { session_id: call.sessionId, request_id: call.requestId, job_id: call.jobId }
    metrics.jobs.inc({ outcome: 'crashed' })
    log.error({ ...about, ...how }, 'job process crashed')
    for (const [attempt, pause] of PAUSES.entries()) {
      await sleep(pause)
      try {
        await removeGhost(call.roomName, call.identity)
        metrics.ghosts.inc({ result: 'removed' })
        log.info({ ...about, attempt: attempt + 1 }, 'ghost of the crashed job removed from its room')
        return
      } catch (error) {
        // Status and code only: a 401 of LiveKit repeats the token in its message.
        log.warn({ ...about, attempt: attempt + 1, status: (error as { status?: number }).status, code: (error as { code?: string }).code }, 'could not remove the ghost')
      }
    }
    metrics.ghosts.inc({ result: 'given_up' })
  }

  diagnostics.subscribe('child_process', watch)

  return {
    avatars,
    /** Whether the process that decides on the end of turns runs (it does not exist for every agent). */
    inferenceAlive: () => inferenceAlive,
    /** Ends the processes that wait for a call, but for those that are `spared`. One that is still starting never reads the framework's request to stop. */
    killIdle (spared: (child: ChildProcess) => boolean = () => false) {
      for (const job of jobs) {
        if (job.call || spared(job.child)) continue
        job.stopped = true
        job.child.kill('SIGKILL')
      }
    },
    /** Ends the processes in a call that have not left in order, and waits until their ghosts are removed, `limit` milliseconds at most. */
    async killBusy (limit: number): Promise<void> {
      const busy = [...jobs].filter((job) => job.call && !job.left).map(({ child }) => child)
      await Promise.race([sleep(limit), (async () => {
        await Promise.all(busy.map((child) => {
          const exited = once(child, 'exit')
          child.kill('SIGKILL')
          return exited
        }))
        await Promise.all(cleanings)
      })()])
    }
  }
}

export type Supervisor = ReturnType<typeof createSupervisor>
