// One schedule: the rules on two replicas, where every await is a point at which any other actor, a crash or the time may come in between.
import type { Scheduler } from 'fast-check'
import { createAgentArrival } from '../../src/sessions/agent-arrival.ts'
import { createAudit } from '../../src/sessions/audit.ts'
import type { Call } from '../../src/sessions/caller.ts'
import type { Clock } from '../../src/sessions/clock.ts'
import { createHistory } from '../../src/sessions/history.ts'
import { createIngress } from '../../src/sessions/ingress.ts'
import { createLifecycle } from '../../src/sessions/lifecycle.ts'
import type { Log } from '../../src/sessions/log.ts'
import { jobMetadata, type Mode } from '../../src/sessions/modes.ts'
import { createOutbox, type WebhookSender } from '../../src/sessions/outbox.ts'
import { createReconciler } from '../../src/sessions/reconciler.ts'
import { createRecordings } from '../../src/sessions/recordings.ts'
import type { LiveKitEvent } from '../../src/sessions/rooms.ts'
import { createSessions } from '../../src/sessions/sessions.ts'
import type { Session } from '../../src/sessions/store.ts'
import { createTranscriptKeys } from '../../src/sessions/transcript-keys.ts'
import { createTranscripts } from '../../src/sessions/transcripts.ts'
import { createUsage } from '../../src/sessions/usage.ts'
import type { ModeName } from '../../src/sessions/vocabulary.ts'
import { createInvariants, usedUntil, type Start } from './invariants.ts'
import { anEndpoint, createMemoryIngresses, createMemoryOutbox, createMemoryRecordings, createMemoryStore, createMemoryTranscripts, createMemoryUsage, createStatements, type Statements, type Travel } from './store.ts'
import { createWorld, type World } from './world.ts'

export type Trouble =
  /** The call does not arrive. */
  | 'lost'
  /** It is done, but the answer does not arrive. */
  | 'unanswered'
  /** The process dies when the call has been sent, and when it has been done. */
  | 'crash before' | 'crash after'

interface On { replica: 0 | 1 }
/** What befalls the n-th call of an actor. */
interface Troubled { trouble?: { nth: number, what: Trouble } }

export type Actor =
  | { do: 'start', user: string, mode: ModeName, key?: string } & On & Troubled
  | { do: 'end' | 'end by an admin' | 'status' | 'rejoin', which: number } & On & Troubled
  | { do: 'active', user: string } & On & Troubled
  | { do: 'pass' | 'deliver' | 'transcripts are settled' | 'usage is counted' | 'recordings are seen to' | 'ingresses are seen to' } & On & Troubled
  | { do: 'an agent writes', which: number, writer: 0 | 1, done: boolean } & On & Troubled
  | { do: 'an agent reports', which: number, writer: 0 | 1, seq: number } & On & Troubled
  | { do: 'its recording is deleted', which: number } & On & Troubled
  | { do: 'an ingress is made' | 'its ingress is deleted', which: number } & On & Troubled
  | { do: 'a stream comes' | 'the stream goes', which: number }
  | { do: 'its egress fails', which: number }
  | { do: 'egress comes' | 'egress goes' | 'egress hangs' }
  | { do: 'its transcript is deleted', which: number } & On & Troubled
  | { do: 'join' | 'leave' | 'agent dies', which: number }
  | { do: 'the agent ends the call', which: number, word: 'agent' | 'idle' }
  | { do: 'wait', ms: number }
  | { do: 'LiveKit restarts' | 'worker comes' | 'worker goes' }
  | { do: 'crash' } & On
  | { do: 'processes come back' }

export type Fate = 'once' | 'twice' | 'lost'

export interface Scenario {
  /** What has happened before: one after the other, each to its end or its crash. */
  before: Actor[]
  /** What happens then: in any order, and any step of one between any two steps of another. */
  actors: Actor[]
  /** What becomes of the webhooks, one after the other. */
  fates: Fate[]
  /** How far the clock of the second replica is ahead, ms. */
  skew: number
  worker: boolean
  /** How slow jobs are: so many steps of others may pass before their agent joins. */
  jobSteps: number
}

export const LIMITS = { sessionsPerUser: 2, maxDispatches: 3, joinTimeout: 15, interval: 15, departureTimeout: 60 }
const SQL_LIMIT = 2000
const CALL_LIMIT = 3000
/** A webhook wakes the reconciler; this often in one schedule, so that it has an end. */
const WOKEN_PASSES = 4
const never = new Promise<never>(() => {})
const keys = createTranscriptKeys(Buffer.alloc(32, 0x5e).toString('base64'))
const WRITERS = ['00000000-0000-4000-8000-0000000000a0', '00000000-0000-4000-8000-0000000000a1']
const silent: Log = { debug () {}, info () {}, warn () {}, error () {} }

/** Time that stands until it is moved; whoever sleeps wakes when it has been. */
function createTime () {
  let now = Date.UTC(2026, 0, 1)
  const sleepers: Array<{ at: number, wake: () => void }> = []
  return {
    now: () => now,
    sleep: (ms: number) => new Promise<void>((resolve) => { sleepers.push({ at: now + ms, wake: resolve }) }),
    advance (ms: number) {
      now += ms
      const due = sleepers.filter(({ at }) => at <= now).sort((a, b) => a.at - b.at)
      for (const sleeper of due) {
        sleepers.splice(sleepers.indexOf(sleeper), 1)
        sleeper.wake()
      }
    }
  }
}

/**
 * Runs a scenario in the order that `scheduler` chooses, then lets all be quiet, and checks the invariants throughout.
 * @param put puts a fault back into the statements or the world, to show that it is found
 * @throws Error naming the invariant that does not hold
 */
export async function runSchedule (scheduler: Scheduler, scenario: Scenario, modes: Record<ModeName, Mode>, put: (parts: { sql: Statements, world: World }) => void = () => {}): Promise<void> {
  const time = createTime()
  const sql = createStatements()
  sql.endpoints.push(anEndpoint)
  const alive = [{ epoch: 0, up: true }, { epoch: 0, up: true }]
  let phase: 'before' | 'any order' | 'at rest' = 'before'
  const gate = async (label: string) => { if (phase === 'any order') await scheduler.schedule(Promise.resolve(), label) }

  /** One process's way to the others: it may die, calls may get lost, and an answer that takes too long is not waited for. */
  function travelOf (replica: 0 | 1, who: string, trouble: Troubled['trouble'], limit: number, outcomes: { notSent: () => Error, unknown: () => Error }, count: { calls: number }, met: (what: string) => void): Travel {
    const { epoch } = alive[replica]!
    const isDead = () => !alive[replica]!.up || alive[replica]!.epoch !== epoch
    return async (what, work, deadline = Infinity) => {
      if (isDead()) return never
      const mine = phase !== 'at rest' && trouble && count.calls++ === trouble.nth ? trouble.what : undefined
      met(mine ?? what)
      const left = Math.min(limit, deadline - time.now())
      if (left < 20 || mine === 'lost') {
        await gate(`${who}: ${what} is not sent`)
        if (isDead()) return never
        throw outcomes.notSent()
      }
      if (mine === 'crash before') { crash(replica); return never }
      const answer = (async () => {
        await gate(`${who}: ${what}`)
        const result = await work()
        if (mine === 'crash after') { crash(replica); return never }
        await gate(`${who}: ${what} is answered`)
        if (mine === 'unanswered') throw outcomes.unknown()
        return result
      })()
      answer.catch(() => {})
      const result = await (phase !== 'any order' ? answer : Promise.race([answer, time.sleep(left).then(() => { throw outcomes.unknown() })]))
      return isDead() ? never : result
    }
  }

  function crash (replica: 0 | 1) {
    alive[replica]!.up = false
    invariants.died(replica)
  }

  /** Whatever died is there again, as a process that knows of nothing. */
  function revive () {
    for (const process of alive) if (!process.up) { process.up = true; process.epoch++ }
  }

  let failure: unknown
  let woken = 0
  let lines = 0
  const run = (actor: Actor, n: number | string) => { act(actor, n).catch((error) => { failure ??= error }) }
  let begin = () => {}
  const begun = new Promise<void>((resolve) => { begin = resolve })
  const world = createWorld({
    clock: time,
    onJob: async (join) => {
      if (phase === 'before' && scenario.jobSteps > 0) await begun
      for (let n = 0; n < scenario.jobSteps; n++) await gate('a job is at work')
      await gate('its agent joins')
      join()
    },
    onJoin: async (enter) => {
      await gate('a user comes in')
      enter()
    },
    onMail: (event) => {
      if (phase === 'at rest') return
      world.mail.pop() // it is on its way
      const fate = scenario.fates.length > 0 ? scenario.fates[Number(event.id.slice(3)) % scenario.fates.length]! : 'once'
      for (let n = 0; n < { once: 1, twice: 2, lost: 0 }[fate]; n++) deliver(event, n as 0 | 1)
    },
    onDelete: (name) => invariants.deleting(name)
  })
  const invariants = createInvariants({ sql, world, limits: LIMITS, now: time.now })
  world.setWorker(scenario.worker)
  put({ sql, world })

  /** The rules in one process, for one actor: its calls carry its name and its trouble. */
  function rulesOf (replica: 0 | 1, who: string, trouble?: Troubled['trouble'], start?: Start, wake = () => {}) {
    const clock: Clock = {
      now: () => time.now() + replica * scenario.skew,
      elapsed: time.now,
      // Whoever polls lets the time go by.
      async sleep (ms) {
        await gate(`${who} waits`)
        time.advance(ms)
      }
    }
    const met = (where: 'database' | 'livekit') => (what: string) => {
      if (what === 'failStart' && start) start.undoing = true
      if (['lost', 'unanswered', 'crash before', 'crash after'].includes(what)) start?.met.add(where)
    }
    const count = { calls: 0 }
    const away = () => Object.assign(new Error('no answer'), { code: 'DATABASE_UNAVAILABLE' })
    const failed = (outcome: 'not_sent' | 'unknown') => () => Object.assign(new Error(outcome), { outcome, code: 'LIVEKIT_FAILED' })
    const toDatabase = travelOf(replica, who, trouble, SQL_LIMIT, { notSent: away, unknown: away }, count, met('database'))
    const toLiveKit = travelOf(replica, who, trouble, CALL_LIMIT, { notSent: failed('not_sent'), unknown: failed('unknown') }, count, met('livekit'))
    const toReceiver = travelOf(replica, who, trouble, CALL_LIMIT, { notSent: away, unknown: away }, count, () => {})
    const store = createMemoryStore(sql, toDatabase)
    // The world's calls are done at once; how they travel is this process's affair.
    const livekit = Object.fromEntries(Object.entries(world.livekit).map(([name, call]) => [name, (...args: unknown[]) => {
      const done = call as (...args: unknown[]) => Promise<unknown>
      if (name === 'joinToken') {
        // Whoever asks for a token takes whatever fails for a refusal.
        try { invariants.issues(args[0] as { ttl: number }) } catch (error) { failure ??= error }
      }
      if (name === 'joinToken' || (name === 'standing' && (args[0] as unknown[]).length === 0)) return done(...args)
      const deadline = typeof args.at(-1) === 'number' ? args.at(-1) as number : undefined
      return toLiveKit(name, () => done(...args), deadline)
    }])) as unknown as typeof world.livekit
    const sender: WebhookSender = {
      send: (_target, { id }) => toReceiver('a webhook', () => {
        // The outbox takes whatever fails for the receiver's fault.
        try { invariants.received(id) } catch (error) { failure ??= error }
        return 204
      })
    }
    const lifecycle = createLifecycle({ store, livekit, clock, wake, agentTimeout: LIMITS.joinTimeout })
    const audit = createAudit({ store, clock })
    const usage = createUsage({ store: createMemoryUsage(sql, toDatabase), prices: undefined, audit, clock, log: silent, keepDays: 30 })
    const egress = Object.fromEntries(Object.entries(world.egress).map(([name, call]) => [name, (arg: never) => toLiveKit(name, () => (call as (arg: never) => Promise<unknown>)(arg))])) as unknown as typeof world.egress
    const files = {
      link: async () => 'link',
      remove: (file: string) => toReceiver('a file is deleted', () => { world.objects.delete(file) })
    }
    const recordings = createRecordings({ store: createMemoryRecordings(sql, toDatabase), sessions: store, egress, isOn: true, files, audit, clock, log: silent })
    const streams = Object.fromEntries(Object.entries(world.ingress).map(([name, call]) => [name, (arg: never, deadline?: number) => toLiveKit(name, () => (call as (arg: never) => Promise<unknown>)(arg), deadline)])) as unknown as typeof world.ingress
    const limits = { sessionsPerUser: LIMITS.sessionsPerUser, startsPerMinute: 0, departureTimeout: LIMITS.departureTimeout, reconcileInterval: LIMITS.interval }
    return {
      lifecycle,
      recordings,
      ingress: createIngress({ store: createMemoryIngresses(sql, toDatabase), sessions: store, livekit: streams, isOn: true, modes, audit, clock, log: silent }),
      transcripts: createTranscripts({ store: createMemoryTranscripts(sql, toDatabase), keys, audit, clock, log: silent }),
      sessions: createSessions({ store, livekit, lifecycle, audit, agentArrival: createAgentArrival({ livekit, clock }), modes, clock, limits, transcripts: true, recordingFile: (id) => `${id}.ogg`, livekitUrl: 'ws://livekit' }),
      usage,
      history: createHistory({ store, lifecycle, recordings, usage, audit }),
      deliver: () => createOutbox({ store: createMemoryOutbox(sql, toDatabase), sender, clock, log: silent }).deliver(),
      reconcile: () => createReconciler({ store, livekit, lifecycle, modes, clock, log: silent, limits: { ...LIMITS, endOnAgentFailure: false, holdEvery: 20_000 }, revives: () => false, jobMetadata }).reconcile()
    }
  }

  const callOf = (user: string, seconds = 7, admin = false, id = 'request'): Call => ({ id, user: { id: user, name: user, username: user, admin }, log: silent, deadline: time.now() + seconds * 1000 })
  const rowOf = (which: number): Session | undefined => [...sql.rows.values()][which % Math.max(1, sql.rows.size)]

  async function deliver (event: LiveKitEvent, replica: 0 | 1) {
    await begun
    await gate(`${event.type} is delivered`)
    const to = alive[replica]!.up ? replica : 1 - replica as 0 | 1
    if (!alive[to]!.up) return
    const wake = () => { if (phase === 'any order' && woken++ < WOKEN_PASSES) run({ do: 'pass', replica: to }, `woken ${woken}`) }
    const rules = rulesOf(to, `webhook ${event.type}`, undefined, undefined, wake)
    await (event.egress ? rules.recordings : rules.lifecycle).apply(event).then(() => invariants.heard(event), () => {})
  }

  const settle = (work: Promise<unknown>) => work.then(() => {}, (error: { statusCode?: number }) => {
    if (error instanceof TypeError || error instanceof ReferenceError || error instanceof RangeError) throw error
  })

  async function act (actor: Actor, n: number | string) {
    const who = `${n} ${actor.do}`
    await gate(`${who} begins`)
    switch (actor.do) {
      case 'start': {
        if (!alive[actor.replica]!.up) return
        const mode = modes[actor.mode]
        const seconds = mode.agentWait > 0 ? mode.agentWait + 1 : 7
        const call = callOf(actor.user, seconds, false, who)
        const start = invariants.begins({ id: who, user: actor.user, key: actor.key, mode: actor.mode, replica: actor.replica, deadline: call.deadline })
        return rulesOf(actor.replica, who, actor.trouble, start).sessions.start(call, actor.mode, actor.mode === 'voice' ? { agent_type: 'general', transcript: true, recording: true } : { category: { id: 'c', name: 'C', enabled: true }, transcript: true, recording: true }, actor.key)
          .then((started) => invariants.answered(start, started.session), (error) => invariants.refused(start, error))
      }
      case 'end':
      case 'status':
      case 'rejoin': {
        const row = rowOf(actor.which)
        if (!row || !alive[actor.replica]!.up) return
        const { sessions } = rulesOf(actor.replica, who, actor.trouble)
        if (actor.do === 'end') invariants.ends(row.id)
        const work = sessions[actor.do](callOf(row.user_id), row.mode, row.room_name)
        return settle(actor.do === 'end' ? work.then(() => invariants.ended(row.id)) : work)
      }
      case 'end by an admin': {
        const row = rowOf(actor.which)
        if (!row || !alive[actor.replica]!.up) return
        invariants.ends(row.id)
        return settle(rulesOf(actor.replica, who, actor.trouble).history.end(callOf('root', 7, true), row.id).then(() => invariants.ended(row.id)))
      }
      case 'active':
        if (alive[actor.replica]!.up) return settle(rulesOf(actor.replica, who, actor.trouble).sessions.active(callOf(actor.user), 'voice'))
        return
      case 'pass':
        if (alive[actor.replica]!.up) return settle(rulesOf(actor.replica, who, actor.trouble).reconcile())
        return
      case 'deliver':
        if (alive[actor.replica]!.up) return settle(rulesOf(actor.replica, who, actor.trouble).deliver())
        return
      case 'transcripts are settled':
        if (alive[actor.replica]!.up) return settle(rulesOf(actor.replica, who, actor.trouble).transcripts.settle())
        return
      case 'usage is counted':
        if (alive[actor.replica]!.up) return settle(rulesOf(actor.replica, who, actor.trouble).usage.settle())
        return
      case 'an agent reports': {
        const row = rowOf(actor.which)
        if (!row || !alive[actor.replica]!.up) return
        const report = { writer: WRITERS[actor.writer]!, seq: actor.seq }
        const said = invariants.reports(row.id, report)
        return settle(rulesOf(actor.replica, who, actor.trouble).usage.report(row.id, { ...report, ...usedUntil(actor.seq) }).then(said))
      }
      case 'recordings are seen to':
        if (alive[actor.replica]!.up) return settle(rulesOf(actor.replica, who, actor.trouble).recordings.settle())
        return
      case 'ingresses are seen to':
        if (alive[actor.replica]!.up) return settle(rulesOf(actor.replica, who, actor.trouble).ingress.settle())
        return
      case 'an ingress is made': {
        const row = rowOf(actor.which)
        if (!row || !alive[actor.replica]!.up) return
        return settle(rulesOf(actor.replica, who, actor.trouble).ingress.create(callOf(row.user_id), row.mode, row.room_name, 'rtmp').then(({ stream_key: key }) => invariants.ingressMade(row.id, key)))
      }
      case 'its ingress is deleted': {
        const row = rowOf(actor.which)
        if (!row || !alive[actor.replica]!.up) return
        const known = invariants.keysOf(row.id)
        return settle(rulesOf(actor.replica, who, actor.trouble).ingress.remove(callOf(row.user_id), row.mode, row.room_name).then(() => invariants.ingressDeleted(known)))
      }
      case 'a stream comes': return world.push(rowOf(actor.which)?.room_name ?? '')
      case 'the stream goes': return world.stopStream(rowOf(actor.which)?.room_name ?? '')
      case 'its recording is deleted': {
        const row = rowOf(actor.which)
        if (row && alive[actor.replica]!.up) return settle(rulesOf(actor.replica, who, actor.trouble).recordings.remove(callOf(row.user_id), row.id, row.id).then(() => invariants.recordingDeleted(row.id)))
        return
      }
      case 'its egress fails': return world.egressFails(rowOf(actor.which)?.room_name ?? '')
      case 'egress comes': return world.setEgress(true)
      case 'egress goes': return world.setEgress(false)
      case 'egress hangs': return world.setEgress(true, false)
      case 'an agent writes': {
        const row = rowOf(actor.which)
        if (!row || !alive[actor.replica]!.up) return
        const { transcripts } = rulesOf(actor.replica, who, actor.trouble)
        const at = new Date(time.now()).toISOString()
        const line = { seq: ++lines, revision: 0, at, until: at, by: 'agent' as const, text: 'Hello.' }
        const writer = WRITERS[actor.writer]!
        return settle(transcripts.write(row.id, { writer, lines: [line], done: actor.done }).then(() => invariants.written(row.id, line.seq)))
      }
      case 'its transcript is deleted': {
        const row = rowOf(actor.which)
        if (row && alive[actor.replica]!.up) return settle(rulesOf(actor.replica, who, actor.trouble).transcripts.remove(callOf(row.user_id), row.id).then(() => invariants.forgotten(row.id)))
        return
      }
      case 'join': {
        const row = rowOf(actor.which)
        if (row && invariants.hasToken(row.id)) world.join(row.room_name, row.user_id)
        return
      }
      case 'leave': return world.leave(rowOf(actor.which)?.room_name ?? '')
      case 'agent dies': return world.agentDies(rowOf(actor.which)?.room_name ?? '')
      case 'the agent ends the call': {
        const roomName = rowOf(actor.which)?.room_name ?? ''
        invariants.hangsUp(roomName)
        return world.agentEnds(roomName, actor.word)
      }
      case 'wait': {
        time.advance(actor.ms)
        return world.tick()
      }
      case 'LiveKit restarts': {
        invariants.restarts()
        return world.restart()
      }
      case 'worker comes':
      case 'worker goes': return world.setWorker(actor.do === 'worker comes')
      case 'crash': return crash(actor.replica)
      case 'processes come back': return revive()
    }
  }

  for (const [n, actor] of scenario.before.entries()) {
    run(actor, n)
    await new Promise(setImmediate)
  }
  phase = 'any order'
  begin()
  for (const [n, actor] of scenario.actors.entries()) run(actor, scenario.before.length + n)
  const check = () => {
    if (failure) throw failure
    invariants.always()
  }
  await scheduler.waitIdle(async (step) => { await step(); check() })
  check()

  // Nobody fails any more, and time goes by: both processes are there (a new one for each that died).
  phase = 'at rest'
  const restsSince = time.now()
  revive()
  world.setWorker(true)
  world.setEgress(true)
  // Second by second at first, or what LiveKit hides for 5 s would never be hidden.
  for (let n = 0; n < 32; n++) {
    time.advance(n < 24 ? 1100 : 15_100)
    world.tick()
    await rulesOf(n % 2 as 0 | 1, 'quiet').reconcile()
    await rulesOf(n % 2 as 0 | 1, 'quiet').recordings.settle()
    await rulesOf(n % 2 as 0 | 1, 'quiet').ingress.settle()
    for (const event of world.mail.splice(0)) {
      if (!event.egress) await rulesOf(0, 'quiet').lifecycle.apply(event).then(() => invariants.heard(event)) // what an egress would tell is lost
    }
    await rulesOf(n % 2 as 0 | 1, 'quiet').transcripts.settle()
    await rulesOf(n % 2 as 0 | 1, 'quiet').usage.settle()
    await rulesOf(n % 2 as 0 | 1, 'quiet').deliver()
    check()
    if (n < 24) invariants.soon(restsSince)
  }
  await rulesOf(0, 'quiet').reconcile()
  await rulesOf(0, 'quiet').transcripts.sweep()
  await rulesOf(0, 'quiet').recordings.settle()
  await rulesOf(0, 'quiet').ingress.settle()
  await rulesOf(0, 'quiet').transcripts.settle()
  await rulesOf(0, 'quiet').usage.settle()
  await rulesOf(0, 'quiet').deliver()
  check()
  invariants.atRest()
}
