// The life of a session against its rules: any order of starts, joins, ends, webhooks (lost, doubled, late), passes, crashes and time.
import fc from 'fast-check'
import pino from 'pino'
import t from 'tap'
import { openDatabase } from '../plugins/database/query.ts'
import { migrate } from '../plugins/database/migrate.ts'
import { createSessionStore } from '../plugins/database/session-store.ts'
import { createLifecycle } from '../src/sessions/lifecycle.ts'
import { jobMetadata } from '../src/sessions/modes.ts'
import { createReconciler } from '../src/sessions/reconciler.ts'
import { createAgentArrival } from '../src/sessions/agent-arrival.ts'
import { createAudit } from '../src/sessions/audit.ts'
import type { Call } from '../src/sessions/caller.ts'
import { createSessions } from '../src/sessions/sessions.ts'
import { databaseFor, modes, movableClock, queryFor } from './helper.ts'
import type { Travel } from '../dev/model/store.ts'
import { createWorld, type World } from '../dev/model/world.ts'

const RUNS = Number(process.env.LIFE_RUNS ?? 1000)
const LIMIT = 2
const MAX_DISPATCHES = 3
const databaseUrl = await databaseFor(t)
await migrate(databaseUrl)
const database = openDatabase(databaseUrl, () => {})
t.teardown(() => database.close())
const store = createSessionStore(database)
const query = await queryFor(t, databaseUrl)
const log = pino({ level: 'silent' })

type Trouble =
  /** The call is done and answered. */
  | 'none'
  /** LiveKit says no; nothing is done. */
  | 'refused'
  /** Nobody is there; nothing is done. */
  | 'not_sent'
  /** It is done, but the answer is lost. */
  | 'unknown'
  /** The process dies before the call: it never returns. */
  | 'crash before'
  /** The process dies after the call was done: it never returns. */
  | 'crash after'

/** How calls to LiveKit travel: as the trouble of the moment has it; a trouble strikes once. */
function createTravel () {
  let trouble: Trouble = 'none'
  const never = new Promise<never>(() => {})
  const travel: Travel = async (_what, work) => {
    const now = trouble
    trouble = 'none'
    if (now === 'crash before') return never
    if (now === 'refused' || now === 'not_sent') throw Object.assign(new Error(now), { outcome: now })
    const result = await work()
    if (now === 'crash after') return never
    if (now === 'unknown') throw Object.assign(new Error(now), { outcome: now })
    return result
  }
  return { travel, setTrouble: (next: Trouble) => { trouble = next } }
}

/** What the test knows by itself: which rooms it was given, and which sessions it has seen end. */
interface Model { given: string[], ended: Set<string> }

interface Real { world: World, setTrouble: (trouble: Trouble) => void, clock: ReturnType<typeof movableClock>, sessions: ReturnType<typeof createSessions>, lifecycle: ReturnType<typeof createLifecycle>, reconcile: () => Promise<unknown> }

function setting (): Real {
  const clock = movableClock(Date.UTC(2026, 0, 1))
  const { travel, setTrouble } = createTravel()
  const world = createWorld({ clock, travel })
  const lifecycle = createLifecycle({ store, livekit: world.livekit, clock, agentTimeout: 15 })
  const sessions = createSessions({ store, livekit: world.livekit, lifecycle, audit: createAudit({ store, clock }), agentArrival: createAgentArrival({ livekit: world.livekit, clock }), modes, clock, livekitUrl: 'ws://x', limits: { sessionsPerUser: LIMIT, startsPerMinute: 0, departureTimeout: 60, reconcileInterval: 15 } })
  // A new one for each pass: a process that died in one does not stop the next.
  const reconcile = () => createReconciler({ store, livekit: world.livekit, lifecycle, modes, clock, log, limits: { interval: 15, joinTimeout: 15, maxDispatches: MAX_DISPATCHES, endOnAgentFailure: false, departureTimeout: 60 }, revives: () => false, jobMetadata }).reconcile()
  return { world, setTrouble, clock, sessions, lifecycle, reconcile }
}

const caller = (user: string): Call => ({ id: 'request', user: { id: user, name: user, username: user, admin: false }, log, deadline: performance.now() + 60_000 })

/** The work, or nothing when its process died in it. */
async function unlessDead<T> (trouble: Trouble, work: Promise<T>): Promise<T | undefined> {
  const settled = work.then((value) => value, () => undefined)
  if (!trouble.startsWith('crash')) return settled
  return Promise.race([settled, new Promise<undefined>((resolve) => { setTimeout(() => resolve(undefined), 40) })])
}

/** What holds at every moment. */
async function rules (model: Model) {
  const rows = await query('select * from sessions')
  const perUser = new Map<string, number>()
  for (const row of rows) {
    if (row.state !== 'ended') perUser.set(row.user_id, (perUser.get(row.user_id) ?? 0) + 1)
    if (model.ended.has(row.id) && row.state !== 'ended') throw new Error(`${row.id} came back from ended to ${row.state}`)
    if (row.state === 'ended') model.ended.add(row.id)
    if (row.episode_dispatches > MAX_DISPATCHES) throw new Error(`${row.episode_dispatches} dispatches in one episode`)
    if ((row.state === 'ended') !== (row.end_reason !== null && row.ended_at !== null)) throw new Error(`${row.state} with reason ${row.end_reason}`)
  }
  for (const [user, count] of perUser) if (count > LIMIT) throw new Error(`${user} has ${count} sessions`)
  const keys = rows.filter((row) => row.idempotency_key && row.end_reason !== 'start_failed').map((row) => `${row.user_id} ${row.idempotency_key}`)
  if (new Set(keys).size !== keys.length) throw new Error('one key, two sessions')
}

type Command = fc.AsyncCommand<Model, Real>

/** A step that ends with the rules; `name` is what a counterexample shows. */
const step = (name: string, run: (model: Model, real: Real) => Promise<void>, check: (model: Readonly<Model>) => boolean = () => true): Command => ({
  check,
  async run (model, real) {
    await run(model, real)
    real.setTrouble('none')
    await rules(model)
  },
  toString: () => name
})
const aRoom = (model: Readonly<Model>) => model.given.length > 0
const roomOf = (model: Model, which: number) => model.given[which % model.given.length]!

const start = (user: string, key: string | undefined, trouble: Trouble) => step(`start(${user}, ${key}, ${trouble})`, async (model, real) => {
  real.setTrouble(trouble)
  const started = await unlessDead(trouble, real.sessions.start(caller(user), 'voice', { agent_type: 'general' }, key))
  if (!started) return
  const [row] = await query('select state from sessions where id = $1', [started.session.id])
  if (row.state !== 'live') throw new Error(`a token for a session that is ${row.state}`)
  model.given.push(started.session.room_name)
})

const end = (which: number, trouble: Trouble) => step(`end(${which}, ${trouble})`, async (model, real) => {
  const room = roomOf(model, which)
  const [row] = await query('select user_id from sessions where room_name = $1', [room])
  real.setTrouble(trouble)
  const ended = await unlessDead(trouble, real.sessions.end(caller(row.user_id), 'voice', room))
  // While another holds the end, the answer is yes already, and the room goes with the lease of that other at the latest.
  const [{ state }] = await query('select state from sessions where room_name = $1', [room])
  if (ended && (state === 'ended' ? real.world.rooms.has(room) : state !== 'ending')) throw new Error(`answered ended, but it is ${state}, and its room is ${real.world.rooms.has(room) ? '' : 'not '}there`)
}, aRoom)

const happen = (what: 'join' | 'leave' | 'agentDies', which: number) => step(`${what}(${which})`, async (model, real) => real.world[what](roomOf(model, which), 'user'), aRoom)

const deliver = (which: number, how: 'once' | 'twice' | 'lost' | 'kept') => step(`webhook(${which}, ${how})`, async (_model, real) => {
  const { mail } = real.world
  const event = mail[which % mail.length]
  if (!event) return
  if (how !== 'kept') mail.splice(mail.indexOf(event), 1) // kept: it comes again, much later
  for (let n = 0; n < { lost: 0, once: 1, kept: 1, twice: 2 }[how]; n++) await real.lifecycle.apply(event)
})

const reconcile = (trouble: Trouble) => step(`reconcile(${trouble})`, async (_model, real) => {
  real.setTrouble(trouble)
  await unlessDead(trouble, real.reconcile())
})

const advance = (seconds: number) => step(`advance(${seconds} s)`, async (_model, real) => {
  real.clock.advance(seconds * 1000)
  real.world.tick()
})

const outside = (what: 'LiveKit restarts' | 'worker comes' | 'worker goes') => step(what, async (_model, real) => {
  if (what === 'LiveKit restarts') real.world.restart()
  else real.world.setWorker(what === 'worker comes')
})

/** When all is quiet and nobody fails any more, record and rooms agree. */
async function settle (model: Model, { world, clock, reconcile }: Real) {
  world.setWorker(true)
  for (let n = 0; n < 22; n++) {
    await reconcile()
    clock.advance(15_000)
    world.tick()
  }
  await rules(model)
  clock.advance(16_000)
  await reconcile()
  const rows = await query('select * from sessions')
  const live = rows.filter((row) => row.state === 'live').map((row) => row.room_name).sort()
  const rooms = [...world.rooms.keys()].sort()
  const stuck = rows.filter((row) => row.state === 'starting' || row.state === 'ending')
  if (stuck.length > 0) throw new Error(`stuck: ${JSON.stringify(stuck.map((row) => [row.state, row.end_reason]))}`)
  if (live.join() !== rooms.join()) throw new Error(`live ${JSON.stringify(live)}, rooms ${JSON.stringify(rooms)}`)
  for (const [name, room] of world.rooms) {
    const [row] = rows.filter((row) => row.room_name === name)
    const agents = world.agents(room).length
    if (world.users(room).length > 0 && agents !== 1 && row.agent_state !== 'failed') throw new Error(`${agents} agents, state ${row.agent_state}`)
  }
}

t.test('any life ends well', { timeout: 600_000 }, async (t) => {
  const users = fc.constantFrom('alice', 'bert')
  const callTrouble = fc.oneof({ weight: 4, arbitrary: fc.constant<Trouble>('none') }, { weight: 3, arbitrary: fc.constantFrom<Trouble>('refused', 'not_sent', 'unknown', 'crash before', 'crash after') })
  const passTrouble = fc.oneof({ weight: 6, arbitrary: fc.constant<Trouble>('none') }, { weight: 2, arbitrary: fc.constantFrom<Trouble>('refused', 'not_sent', 'unknown') }, { weight: 1, arbitrary: fc.constantFrom<Trouble>('crash before', 'crash after') })
  const which = fc.nat(20)
  const aStart = fc.tuple(users, fc.option(fc.constantFrom('k1', 'k2'), { nil: undefined }), callTrouble).map((args) => start(...args))
  const commands = fc.commands([
    aStart,
    aStart,
    fc.tuple(which, callTrouble).map((args) => end(...args)),
    fc.tuple(fc.constantFrom('join' as const, 'join' as const, 'leave' as const, 'agentDies' as const), which).map((args) => happen(...args)),
    fc.tuple(which, fc.constantFrom('once' as const, 'once' as const, 'twice' as const, 'lost' as const, 'kept' as const)).map((args) => deliver(...args)),
    passTrouble.map(reconcile),
    fc.constantFrom(1, 5, 16, 61, 301).map(advance),
    fc.constantFrom('LiveKit restarts' as const, 'worker comes' as const, 'worker goes' as const).map(outside)
  ], { maxCommands: 25 })

  let runs = 0
  await fc.assert(fc.asyncProperty(commands, async (commands) => {
    await query('delete from sessions')
    const model: Model = { given: [], ended: new Set() }
    const real = setting()
    await fc.asyncModelRun(() => ({ model, real }), commands)
    await settle(model, real)
    runs++
  }), { numRuns: RUNS })
  t.ok(runs >= RUNS, `${runs} lives`)
})
