// A deploy with calls in progress, and workers at their limit: what callers and those who start meanwhile notice. `npm run prove:drain`;
// CALLS sets how many calls are in progress (4). The echo agent, because what is asked is the worker, which all agents share; the voice agent once.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { call, RATE, type Caller } from '../support/caller.ts'
import { printFigures } from '../support/figures.ts'
import { startLiveKit, type LiveKit } from '../support/livekit.ts'
import { freePort, until } from '../support/processes.ts'
import { startService, webhookUrl, type Service } from '../support/service.ts'
import { agentJoins } from '../support/session.ts'
import { startWholeStage } from '../support/stage.ts'
import { startWorker, type RunningWorker } from '../support/worker.ts'

const CALLS = Number(process.env.CALLS ?? 4)
/** Milliseconds: between two new calls during a deploy, between two beeps of a caller, and until a beep counts as lost. */
const [NEXT_START, NEXT_BEEP, LOST] = [4000, 1000, 3000]

/** Milliseconds for which those who start meanwhile stay. */
const STAY = 4000

/** 20 ms of a 1 kHz tone. */
const beep = Int16Array.from({ length: RATE / 50 }, (_, i) => Math.round(Math.sin(i * 2 * Math.PI * 1000 / RATE) * 12_000))

/** A LiveKit and a service, of its own for each part. */
async function place (t: TestContext) {
  const closers: Array<() => Promise<unknown>> = []
  t.after(async () => { for (const close of closers) await close() })
  const port = await freePort()
  const livekit = await startLiveKit({ webhookUrl: webhookUrl(port) })
  closers.unshift(() => livekit.stop())
  const service = await startService(livekit, port)
  closers.unshift(() => service.stop())
  return {
    /** Starts a worker of the echo agent. */
    async echo (more: Record<string, string> = {}, ready = true) {
      const worker = await startWorker(['echo'], { ...livekit.env, MAX_JOBS: '30', LIVEKIT_WORKER_NUM_IDLE: '2', ...more }, ready)
      closers.unshift(() => worker.stop())
      return worker
    },
    begin: (user: string, patience?: number) => Talk.begin(livekit, service, user, patience)
  }
}

const isReady = async (worker: RunningWorker) => (await worker.health().catch(() => undefined))?.registered

/** One user in a call with an echo: beeps go out, and are to come back. */
class Talk {
  readonly user: string
  readonly roomName: string
  /** Milliseconds from the user's join to its agent being ACTIVE. */
  readonly agentAfter: number
  readonly agent: string
  readonly #service: Service
  readonly #caller: Caller
  #open = true
  #beeping: Promise<void>
  came = 0
  lost = 0

  private constructor (service: Service, user: string, roomName: string, caller: Caller, agent: string, agentAfter: number) {
    this.#service = service
    this.user = user
    this.roomName = roomName
    this.agent = agent
    this.agentAfter = agentAfter
    this.#caller = caller
    this.#beeping = this.#beep()
  }

  static async begin (livekit: LiveKit, service: Service, user: string, patience = 60_000): Promise<Talk> {
    const { roomName, token } = await service.start(user)
    const joined = performance.now()
    const caller = await call(livekit, roomName, user, undefined, token)
    // As the caller sees it: asking LiveKit again and again would be a load of its own.
    const { identity } = await until('the agent joins', () => caller.others().find(({ identity }) => identity.startsWith('agent-')), patience)
    const agentAfter = performance.now() - joined
    await until('the echo is heard at all', () => caller.heard.length > 50, patience)
    return new Talk(service, user, roomName, caller, identity, agentAfter)
  }

  async #beep (): Promise<void> {
    while (this.#open) {
      try {
        const { startedAt } = await this.#caller.say(beep)
        await until('the beep comes back', () => this.#caller.heard.find(({ at, level }) => at > startedAt && level > -40), LOST)
        this.came++
      } catch {
        this.lost++
      }
      this.#caller.heard.length = 0
      await sleep(NEXT_BEEP)
    }
  }

  async end (): Promise<void> {
    this.#open = false
    await this.#beeping
    await this.#service.end(this.user, this.roomName)
    await this.#caller.leave()
  }
}

/** Whose agent it is: its identity has the job's id in it. */
const isOf = (worker: RunningWorker, { agent }: Talk) => worker.lines().some(({ msg, job_id: id }) => msg === 'job accepted' && agent === `agent-${id}`)

for (const [name, readyFirst] of [['the new worker is ready before the old one is told to stop', true], ['the old one is told to stop as the new one is started', false]] as const) {
  test(`a deploy with ${CALLS} calls in progress: ${name}`, async (t) => {
    const { echo, begin } = await place(t)
    const old = await echo()
    const talks: Talk[] = []
    for (let n = 0; n < CALLS; n++) {
      await until('a process waits', async () => (await old.health()).idle_processes > 0, 20_000)
      talks.push(await begin(`caller-${n}`))
    }
    assert.ok(talks.every((talk) => isOf(old, talk)))

    // Others start all the time.
    const newcomers: Array<Promise<Talk>> = []
    const newcomer = () => {
      newcomers.push(begin(`newcomer-${readyFirst}-${newcomers.length}`).then(async (talk) => {
        await sleep(STAY)
        await talk.end()
        return talk
      }))
    }
    newcomer()
    const starting = setInterval(newcomer, NEXT_START)
    t.after(() => clearInterval(starting))
    await sleep(3000)
    const next = await echo({}, false) // it has jobs as soon as it is known, and idle processes only when it has fewer
    if (readyFirst) await until('the new worker is ready', () => isReady(next), 30_000)
    old.child.kill('SIGTERM')
    const told = performance.now()
    await until('draining', async () => (await old.health()).draining)
    await sleep(500)
    const accepted = old.lines().filter(({ msg }) => msg === 'job accepted').length
    await until('the new worker is ready', () => isReady(next), 60_000)
    const gap = performance.now() - told
    await sleep(20_000)
    clearInterval(starting)
    const came = await Promise.all(newcomers)
    await sleep(3000)
    assert.equal(old.lines().filter(({ msg }) => msg === 'job accepted').length, accepted, 'the old worker takes no more')
    const later = came.filter((talk) => isOf(next, talk))
    assert.ok(later.length >= 3)
    assert.equal(came.filter((talk) => isOf(old, talk)).length + later.length, came.length)
    printFigures(`${came.length} started meanwhile, user joins to agent ACTIVE`, came.map(({ agentAfter }) => agentAfter))
    if (!readyFirst) console.log(`no worker was ready for ${Math.round(gap)} ms`)

    const code = () => old.child.exitCode
    const before = talks.map(({ came }) => came)
    await sleep(5000)
    assert.ok(talks.every((talk, n) => talk.came > before[n]!), 'each call on the old worker goes on')
    assert.equal(code(), null, 'which waits for them')
    for (const talk of talks) await talk.end()
    const last = performance.now()
    await until('the old worker ends by itself', () => code() !== null, 20_000)
    console.log(`the old worker ended ${Math.round(performance.now() - last)} ms after its last call, code ${code()}`)
    assert.equal(code(), 0)
    const all = [...talks, ...came]
    console.log(`beeps: ${all.reduce((sum, { came }) => sum + came, 0)} came back, ${all.reduce((sum, { lost }) => sum + lost, 0)} lost, in ${all.length} calls`)
    assert.deepEqual(all.filter(({ lost }) => lost > 0).map(({ user, lost }) => ({ user, lost })), [])
    assert.deepEqual(old.lines().filter(({ level }) => level === 'error' || level === 'fatal').map(({ msg }) => msg), [])
  })
}

test('a worker at its limit', async (t) => {
  const { echo, begin } = await place(t)
  const full = await echo({ MAX_JOBS: '2' })
  const talks = [await begin('full-0'), await begin('full-1')]
  await sleep(3000) // LiveKit hears of the load each 2.5 s

  await t.test('and another one there: whoever starts has an agent of the other at once', async () => {
    const other = await echo()
    const times: number[] = []
    for (let n = 0; n < 5; n++) {
      const talk = await begin(`other-${n}`, 10_000)
      assert.ok(isOf(other, talk))
      times.push(talk.agentAfter)
      await talk.end()
    }
    await other.stop()
    printFigures('one worker is full, another is there: user joins to agent ACTIVE', times)
  })

  await t.test('and no other: nobody is lost, the next worker has them', async () => {
    const waiting = begin('waiting')
    await sleep(4000)
    const began = performance.now()
    const other = await echo()
    const registered = performance.now()
    const talk = await waiting
    assert.ok(isOf(other, talk))
    console.log(`agent ACTIVE ${Math.round(talk.agentAfter)} ms after the user, ${Math.round(performance.now() - registered)} ms after the other worker was ready (which took it ${Math.round(registered - began)} ms)`)
    await talk.end()
    await other.stop()
  })

  await t.test('until one of its calls ends: its place is the waiting user\'s', async () => {
    const waiting = begin('patient')
    await sleep(4000)
    await talks.pop()!.end()
    const freed = performance.now()
    const talk = await waiting
    assert.ok(isOf(full, talk))
    console.log(`agent ACTIVE ${Math.round(talk.agentAfter)} ms after the user, ${Math.round(performance.now() - freed)} ms after the place was free`)
    await talk.end()
  })
  for (const talk of talks) await talk.end()
})

test('a worker refuses before LiveKit knows that it is full: the other has the job', async (t) => {
  const { echo, begin } = await place(t)
  const workers = [await echo({ MAX_JOBS: '1' }), await echo({ MAX_JOBS: '1' })]
  const times: number[] = []
  for (let n = 0; n < 5; n++) {
    const talks = await Promise.all(['a', 'b'].map((name) => begin(`twin-${name}-${n}`)))
    times.push(...talks.map(({ agentAfter }) => agentAfter))
    await Promise.all(talks.map((talk) => talk.end()))
    await until('both are free', async () => (await Promise.all(workers.map((worker) => worker.health()))).every(({ active_jobs: jobs, idle_processes: idle }) => jobs === 0 && idle > 0), 20_000)
    await sleep(3000) // LiveKit hears of it
  }
  const refused = workers.flatMap((worker) => worker.lines()).filter(({ msg }) => msg === 'job refused').map(({ reason }) => reason)
  printFigures(`two start at once on two workers of one place each, ${refused.length} refused (${[...new Set(refused)].join()}): user joins to agent ACTIVE`, times)
})

test('a deploy of the voice agent in mid-sentence: the sentence is told to its end, and the next question is answered', async (t) => {
  const stage = await startWholeStage()
  t.after(() => stage.stop())
  const { livekit, service, speech, worker: old } = stage
  const session = await service.start('listener')
  await agentJoins(livekit, session.roomName)
  const joined = performance.now()
  const caller = await call(livekit, session.roomName, 'listener', undefined, session.token)
  await caller.hearsSilence(await caller.hears(joined))
  const { endedAt } = await caller.say(await speech.speak('Please tell me a story.'))
  const story = await caller.hears(endedAt)
  await sleep(1000)
  const next = await startWorker(['voice'], stage.env, false)
  t.after(() => next.stop())
  old.child.kill('SIGTERM')
  const told = await caller.hearsSilence(story)
  assert.match(await speech.recognise(caller.recording(story - 100, told + 300)), /autumn/i)
  await until('the new worker is ready', () => isReady(next), 60_000)
  const { endedAt: asked } = await caller.say(await speech.speak('What is the weather in Paris today?'))
  const answer = await caller.hears(asked)
  const over = await caller.hearsSilence(answer)
  assert.match(await speech.recognise(caller.recording(answer - 100, over + 300)), /snowy in paris/i)
  console.log(`answered ${Math.round(answer - asked)} ms after the question, by the old worker`)

  const second = await service.start('newcomer')
  const agent = await agentJoins(livekit, second.roomName)
  assert.ok(next.lines().some(({ msg, job_id: id }) => msg === 'job accepted' && agent.identity === `agent-${id}`))
  await service.end('newcomer', second.roomName)
  await service.end('listener', session.roomName)
  await caller.leave()
  await until('the old worker ends by itself', () => old.child.exitCode !== null, 30_000)
  assert.equal(old.child.exitCode, 0)
})
