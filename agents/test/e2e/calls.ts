// What each of several calls at once suffers: answered of asked, how long answers take, what a call weighs, and which process takes the
// processor. `npm run prove:calls`; CALLS names how many at once (1,2,5,10), TURNS how often each asks, BUSY how many programs
// take the machine's cores meanwhile.
import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { call, type Caller } from '../support/caller.ts'
import { printFigures } from '../support/figures.ts'
import { processesOf } from '../support/job-processes.ts'
import { until } from '../support/processes.ts'
import { agentJoins, startSession, type Session } from '../support/session.ts'
import { startStage, type Stage } from '../support/stage.ts'

const CALLS = (process.env.CALLS ?? '1,2,5,10').split(',').map(Number)
const TURNS = Number(process.env.TURNS ?? 6)
const BUSY = Number(process.env.BUSY ?? 0)

/** Milliseconds after which an answer counts as never heard. */
const NEVER = 20_000
/** Ticks of the kernel's clock in a second, as /proc counts the time of processes. */
const TICKS = 100

let stage: Stage
let busy: ChildProcess[] = []
before(async () => {
  stage = await startStage({ env: { MAX_JOBS: '20' } })
  busy = Array.from({ length: BUSY }, () => spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }))
})
after(async () => {
  for (const child of busy) child.kill('SIGKILL')
  await stage?.stop()
})

interface Line { caller: Caller, session: Session, name: string }

async function begin (name: string): Promise<Line> {
  const { livekit, worker } = stage
  await until('a process waits', async () => (await worker.health()).idle_processes >= 1, 60_000)
  const session = await startSession(livekit)
  await agentJoins(livekit, session.roomName, 40_000)
  const joined = performance.now()
  const caller = await call(livekit, session.roomName, 'user-1')
  await caller.hearsSilence(await caller.hears(joined, 60_000), 900, 60_000)
  return { caller, session, name }
}

/** Seconds of processor each kind of process has taken so far. */
function processorTime (): Record<string, number> {
  const { worker, speech, livekit } = stage
  const kinds: Array<[string, number]> = [
    ['callers', process.pid], ['recogniser', speech.pids.whisper], ['voice', speech.pids.tts], ['LiveKit', livekit.pid],
    ...processesOf(worker.child.pid!).map(({ kind, pid }): [string, number] => [kind === 'main' ? 'worker' : kind === 'inference' ? 'end of turns' : 'jobs', pid])
  ]
  const times: Record<string, number> = {}
  for (const [kind, pid] of kinds) {
    const fields = /\) (.*)$/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1]?.split(' ') ?? []
    times[kind] = (times[kind] ?? 0) + (Number(fields[11]) + Number(fields[12])) / TICKS
  }
  return times
}

test('what each of several calls at once suffers', async () => {
  const { livekit, worker, speech } = stage
  const sentences = [await speech.speak('I slept well and I had a good breakfast.'), await speech.speak('What is the weather in Paris today?')]
  let missing = 0
  for (const calls of CALLS) {
    const lines: Line[] = []
    for (let i = 0; i < calls; i++) lines.push(await begin(`${i + 1} of ${calls}`))
    const [before, since] = [processorTime(), performance.now()]
    const times: number[] = []
    await Promise.all(lines.map(async ({ caller, session, name }, i) => {
      await sleep(i * 700)
      for (let turn = 0; turn < TURNS; turn++) {
        const { endedAt } = await caller.say(sentences[turn % 2]!)
        const sound = await caller.hears(endedAt, NEVER).catch(() => undefined)
        if (sound === undefined) {
          missing++
          const ended = performance.timeOrigin + endedAt
          const spoke = worker.lines().find(({ msg, session_id: id, time }) => msg === 'agent spoke' && id === session.metadata.session_id && Date.parse(String(time)) > ended)
          console.log(`NOT HEARD: the answer to turn ${turn + 1} of call ${name}, which ended ${new Date(ended).toISOString()}; ${spoke ? `the agent has spoken it until ${String(spoke.time)}` : 'the agent has not spoken'}`)
          continue
        }
        times.push(sound - endedAt)
        await caller.hearsSilence(sound, 900, 60_000)
      }
    }))
    const seconds = (performance.now() - since) / 1000
    const after = processorTime()
    const jobs = processesOf(worker.child.pid!).filter(({ pid }) => lines.some(({ session }) => worker.pidOf(session) === pid))
    printFigures(`${calls} at once: answers heard ${times.length} of ${calls * TURNS}; end of speech to first sound`, times)
    console.log(`  a call: ${Math.round(jobs.reduce((sum, { pssMb }) => sum + pssMb, 0) / calls)} MB; processor, per cent of ${availableParallelism()} cores: ${Object.entries(after).map(([kind, time]) => `${kind} ${Math.round(100 * (time - (before[kind] ?? 0)) / seconds / availableParallelism())}`).join(', ')}`)
    const late = worker.lines().filter(({ msg, pid }) => msg === 'VAD inference is slower than realtime' && jobs.some((job) => job.pid === pid)).map(({ extraInferenceTimeMs }) => Number(extraInferenceTimeMs))
    if (late.length > 0) console.log(`  voice detection was behind, by ${Math.round(Math.max(...late))} ms at most`)
    for (const { caller, session } of lines) {
      await livekit.rooms.deleteRoom(session.roomName)
      await caller.leave()
    }
    await until('the jobs have ended', async () => (await worker.health()).active_jobs === 0, 40_000)
  }
  assert.equal(missing, 0, 'turns whose answer was not heard')
})
