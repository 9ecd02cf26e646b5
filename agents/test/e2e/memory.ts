// What a call weighs: 1, 5 and 10 conversations at once, each after three answers; proportional shares, read from /proc. `npm run prove:memory`;
// CALLS names other numbers. Each caller asks its questions when it comes, then stays in silence: ten that talk are more than two cores carry.
import { after, before, test } from 'node:test'
import { call, type Caller } from '../support/caller.ts'
import { processesOf, type Process } from '../support/job-processes.ts'
import { until } from '../support/processes.ts'
import { agentJoins, startSession, type Session } from '../support/session.ts'
import { startStage, type Stage } from '../support/stage.ts'

const TURNS = 3
const CALLS = (process.env.CALLS ?? '1,5,10').split(',').map(Number)

let stage: Stage
before(async () => { stage = await startStage({ env: { MAX_JOBS: '20', USER_SILENCE_ASK: '0', USER_SILENCE_END: '0' } }) })
after(async () => { await stage?.stop() })

const sum = (processes: Process[]) => processes.reduce((all, { pssMb }) => all + pssMb, 0)
const weights = () => {
  const all = processesOf(stage.worker.child.pid!)
  const inCall = new Set(stage.worker.lines().filter(({ msg }) => msg === 'agent joined').map(({ pid }) => pid))
  return {
    all,
    jobs: all.filter(({ kind, pid }) => kind === 'job' && inCall.has(pid)),
    idle: all.filter(({ kind, pid }) => kind === 'job' && !inCall.has(pid)),
    shared: all.filter(({ kind }) => kind !== 'job')
  }
}

test('what calls weigh', async () => {
  const { livekit, worker, speech } = stage
  const question = await speech.speak('What is the weather in Paris today?')
  const { shared, idle } = weights()
  console.log(`no call: ${shared.map(({ kind, pssMb }) => `${kind} ${pssMb}`).join(', ')}; idle processes ${idle.map(({ pssMb }) => pssMb).join(', ')} MB`)
  for (const calls of CALLS) {
    const callers: Array<{ caller: Caller, session: Session }> = []
    let late = 0
    for (let i = 0; i < calls; i++) {
      await until('a process waits', async () => (await worker.health()).idle_processes >= 1, 30_000)
      const session = await startSession(livekit)
      await agentJoins(livekit, session.roomName, 20_000)
      const joined = performance.now()
      const caller = await call(livekit, session.roomName, 'user-1')
      await caller.hearsSilence(await caller.hears(joined, 60_000), 900, 60_000)
      for (let turn = 0; turn < TURNS; turn++) {
        const { endedAt } = await caller.say(question)
        // Ten processes fill two cores: an answer may come late, and is no less made for that.
        const sound = await caller.hears(endedAt, 30_000).catch(() => undefined)
        if (sound === undefined) late++
        else await caller.hearsSilence(sound, 900)
      }
      await caller.rest()
      callers.push({ caller, session })
    }
    const { jobs, all } = weights()
    console.log(`${calls} at once: ${Math.round(sum(jobs) / jobs.length)} MB a call (${jobs.length} there; ${jobs.map(({ pssMb }) => pssMb).sort((a, b) => a - b).join(' ')}; answers later than 30 s: ${late} of ${calls * TURNS}; resident ${Math.round(jobs.reduce((all, { rssMb }) => all + rssMb, 0) / jobs.length)}), everything ${sum(all)} MB, without the idle ones ${sum(all) - sum(weights().idle)} MB`)
    for (const { caller, session } of callers) {
      await livekit.rooms.deleteRoom(session.roomName)
      await caller.leave()
    }
    await until('the jobs have ended', async () => (await worker.health()).active_jobs === 0, 20_000)
  }
})
