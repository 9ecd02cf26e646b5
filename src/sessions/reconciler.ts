// The pass that repairs: looks at every session that is due and makes record and room agree (D6).
import type { Clock } from './clock.ts'
import { lookAfterEnd, watchUntil, type Lifecycle } from './lifecycle.ts'
import type { Log } from './log.ts'
import { aMomentFor } from './loop.ts'
import { noMetrics, type PassResult, type SessionMetrics } from './metrics.ts'
import { roomLimits, type Mode } from './modes.ts'
import { ingressIdOf, isStream, isUser, merged, observe, present, streamIdentity, withoutUserSince } from './presence.ts'
import type { Participant, Rooms } from './rooms.ts'
import type { Session, SessionStore } from './store.ts'
import { noTracing, type Tracing } from './tracing.ts'
import type { ModeName } from './vocabulary.ts'
import { watchAgent, type WatchdogLimits } from './watchdog.ts'

/** Sessions of one round, so that its statements take a few ms; those of the next wait for no timer. */
const BATCH = 50
/** Calls in flight at once, and rooms that are asked for together (both measured: livekit.md section 4). */
const IN_FLIGHT = 50
const NAMES = 100
/** How long a look may take before another replica may take the row, ms. */
const LOOK_LEASE = 30_000
/** When to look again at what could not be asked or finished, ms; twice as long each time, up to the usual interval. */
const SOON = 1000
/** How often it is asked whether a node holds the room, ms, and how long whoever was in one whose node died has to come back, s. */
const HOLD_EVERY = 300_000
const COME_BACK = 60
/** How often an ended room is looked at while its tokens may live, ms (D1). */
const WATCH_INTERVAL = 60_000

export interface ReconcilerDependencies {
  store: SessionStore
  livekit: Omit<Rooms, 'joinToken' | 'autoCreates'>
  lifecycle: Lifecycle
  modes: Record<ModeName, Mode>
  clock: Clock
  log: Log
  limits: WatchdogLimits & { interval: number, endOnAgentFailure: boolean, /** Seconds a session waits for a user who left. */ departureTimeout: number, /** How often it is asked whether a node holds the room, ms; 5 minutes when not given. */ holdEvery?: number }
  /** Whether the server lets tokens of deleted rooms in: then ended rooms are watched until their tokens are dead. */
  revives: () => boolean
  /** What the agent is told; the same as at the start but for the number of the dispatch. */
  jobMetadata: (session: Session, dispatch: number) => Promise<string> | string
  metrics?: SessionMetrics
  tracing?: Tracing
}

export function createReconciler ({ store, livekit, lifecycle, modes, clock, log, limits, revives, jobMetadata, metrics = noMetrics, tracing = noTracing }: ReconcilerDependencies) {
  /** Since when LiveKit has answered nothing at all; then one question is asked for all sessions, and no row is touched. */
  let awaySince: number | undefined
  /** Sessions that could not be looked at: how often in a row, and when they are due again. */
  const failures = new Map<string, { count: number, due: Date }>()

  async function pass (): Promise<PassResult> {
    const result: PassResult = { checked: 0, corrected: {}, unanswered: 0, lag: 0 }
    while (!stopping.signal.aborted && await answers()) {
      const due = await store.claimDue(new Date(clock.now()), later(LOOK_LEASE), BATCH)
      result.checked += due.length
      for (const { due_at: at } of due) result.lag = Math.max(result.lag, clock.now() - at.getTime())
      const before = result.unanswered
      if (due.length > 0) await tracing.apart('reconciler pass', due, () => lookAt(due, result))
      if (due.length > 0 && result.unanswered - before === due.length) awaySince = clock.now()
      if (due.length < BATCH) break
    }
    // What was due long ago another replica has looked at.
    for (const [id, { due }] of failures) if (due.getTime() + LOOK_LEASE < clock.now()) failures.delete(id)
    if (awaySince !== undefined) result.lag = Math.max(result.lag, clock.now() - awaySince)
    if (result.unanswered > 0) log.warn({ unanswered: result.unanswered, checked: result.checked }, 'LiveKit could not be asked about some sessions: they stay as they are')
    metrics.pass(result)
    return result
  }

  /** Whether LiveKit can be asked; a question only while it could not be. */
  async function answers (): Promise<boolean> {
    if (awaySince === undefined) return true
    try {
      await livekit.listParticipants('is-anybody-there')
      awaySince = undefined
      return true
    } catch {
      return false
    }
  }

  /** One round: ListParticipants for the live ones, and for what came back empty whether the room stands, then a verdict each. */
  async function lookAt (sessions: Session[], result: PassResult) {
    const looks: Look[] = []
    const asked = new Date(clock.now())
    const release: Release = (session, at) => {
      failures.delete(session.id)
      looks.push({ id: session.id, check_no: session.check_no, next_check_at: at && session.state === 'live' && session.expires_at < at ? session.expires_at : at })
    }
    /** Nothing changes; it comes up again soon, and later each time. */
    const postpone = (session: Session) => {
      result.unanswered++
      const { count } = failures.get(session.id) ?? { count: 0 }
      const due = later(Math.min(SOON * 2 ** count, limits.interval * 1000))
      release(session, due)
      failures.set(session.id, { count: count + 1, due })
    }
    const correct = (what: string) => { result.corrected[what] = (result.corrected[what] ?? 0) + 1 }
    const attempt = async (session: Session, work: () => Promise<void>) => {
      try {
        await work()
      } catch (err) {
        log.debug({ err, roomName: session.room_name }, 'session not looked at')
        postpone(session)
      }
    }

    const empty: Session[] = []
    await each(sessions, IN_FLIGHT, (session) => attempt(session, async () => {
      if (session.state === 'ended') empty.push(session)
      else if (session.state === 'starting' || session.state === 'ending') await finish(session, correct)
      else if (session.expires_at.getTime() <= clock.now()) await end(session, 'max_duration', correct)
      else {
        const participants = await livekit.listParticipants(session.room_name)
        if (participants.length === 0) empty.push(session)
        else await attend(session, participants, asked, release, correct)
      }
    }))
    await each(chunks(empty, NAMES), IN_FLIGHT, async (batch) => {
      let standing: Set<string>
      try {
        // Of a session that is over, no room of that name may stand.
        standing = await livekit.standing(batch.map((session) => ({ name: session.room_name, sid: session.state === 'ended' ? null : session.room_sid })))
      } catch {
        for (const session of batch) postpone(session)
        return
      }
      await each(batch, IN_FLIGHT, (session) => attempt(session, () => judge(session, standing.has(session.room_name), asked, release, correct)))
    })
    await store.release(looks)
  }

  /** An end that was not finished, or a start whose starter died: it held the row until its time was up. */
  async function finish (session: Session, correct: Correct) {
    const over = session.state === 'starting'
      ? await lifecycle.abandon(session, true)
      : await lifecycle.close(session, { reason: session.end_reason!, by: 'service' }, undefined, session.check_no)
    if (over) correct(over.end_reason!)
  }

  async function end (session: Session, reason: 'max_duration' | 'agent_failed' | 'idle', correct: Correct) {
    if (await lifecycle.close(session, { reason, by: 'service' })) correct(reason)
  }

  /** Nobody is in the room of this live session, or it is an ended one: is the room there at all? */
  async function judge (session: Session, stands: boolean, asked: Date, release: Release, correct: Correct) {
    if (session.state === 'ended') {
      if (stands) {
        await livekit.deleteRoom(session.room_name)
        correct(session.end_reason === 'start_failed' ? 'start_failed' : 'revived')
        // Whoever was let in got a refreshed token: watch on until that is dead too.
        await store.change({ id: session.id, check_no: session.check_no }, () => ({ session: { watch_until: watchUntil(session, new Date(clock.now())), revived_at: new Date(clock.now()) } }))
        return release(session, later(SOON))
      }
      const watched = revives() && session.watch_until && session.watch_until.getTime() > clock.now()
      return release(session, lookAfterEnd({ ...session, ended_at: session.ended_at! }, new Date(clock.now())) ?? (watched ? later(WATCH_INTERVAL) : null))
    }
    if (stands) return attend(session, [], asked, release, correct)
    const gone = await lifecycle.bury(session)
    if (gone) correct(gone.end_reason!)
  }

  /** The room of a live session is there, with these in it, who were asked for at `asked` or later: keep the record, and see to the agent. */
  async function attend (session: Session, participants: Participant[], asked: Date, release: Release, correct: Correct) {
    const sids = participants.filter((participant) => participant.state === 'ACTIVE').map((participant) => participant.sid).sort().join(' ')
    let current: Session | undefined = session
    const isAgentThere = present(participants).some((participant) => participant.kind === 'AGENT')
    const streamOnly = !participants.some(isUser) && (session.ingress !== null || participants.some(isStream))
    let since: Date | null | undefined
    if (sids !== session.seen_sids || isAgentThere !== (session.agent_state === 'joined') || streamOnly) {
      current = await store.change({ id: session.id, check_no: session.check_no }, (row, stays) => {
        const change = observe(row, stays, { joined: participants.filter((participant) => participant.state === 'ACTIVE'), complete: true }, asked)
        since = streamOnly ? withoutUserSince(merged(stays, change.stays!)) : undefined
        return { ...change, session: { ...change.session, seen_sids: sids } }
      }, participants.map((participant) => participant.sid))
      if (!current) return // somebody else decided
      metrics.reported(session, current)
    }
    const emptyAt = since === undefined ? undefined : emptyFrom(current, since)
    if (emptyAt && emptyAt.getTime() <= clock.now()) return end(current, 'idle', correct)
    if (isToBeHeld(current)) await hold(current)
    await cutOff(current, participants.filter(isStream))
    const usualLook = later(limits.interval * 1000)
    const nextLook = emptyAt && emptyAt < usualLook ? emptyAt : usualLook
    const decide = (row: Session) => watchAgent(row, participants, limits, new Date(clock.now()))
    const verdict = decide(current)
    switch (verdict.do) {
      case 'wait':
        return release(current, verdict.at && verdict.at < nextLook ? verdict.at : nextLook)
      case 'remove':
        await sendAway(current, verdict.agents)
        correct('second_agent')
        return release(current, later(SOON))
      case 'fail': {
        // A webhook may tell of it at this very moment: only the row as it is now is given up.
        const failed = await store.change({ id: current.id, check_no: current.check_no }, (row) => decide(row).do === 'fail' ? { session: { agent_state: 'failed' }, events: [event('agent.failed', {})] } : undefined)
        if (failed?.agent_state !== 'failed') return release(current, later(SOON))
        log.error({ roomName: current.room_name, userId: current.user_id, sessionId: current.id, requestId: current.request_id, dispatches: current.agent_dispatches }, 'no agent came')
        correct('agent_failed')
        metrics.gaveUp(current, new Date(clock.now()))
        return limits.endOnAgentFailure ? end(current, 'agent_failed', () => {}) : release(current, nextLook)
      }
      case 'dispatch':
        if (await tracing.apart('watchdog dispatch', [current], () => dispatch(current, (row) => decide(row).do === 'dispatch'))) correct('dispatched')
        return release(current, later(SOON))
    }
  }

  /**
   * When a session is over for want of a user, who left at `since`, or never came (null). LiveKit sees to that by itself, but a stream that comes in
   * keeps its rooms open, and is nobody: so where there may be one, its departure and its empty timeout are kept here.
   */
  function emptyFrom (session: Session, since: Date | null): Date {
    return since ? new Date(since.getTime() + limits.departureTimeout * 1000) : new Date(session.created_at.getTime() + roomLimits.emptyTimeout * 1000)
  }

  /** Once in `holdEvery`, or twice: the looks do not come by the second. */
  function isToBeHeld ({ created_at: at }: Session): boolean {
    const times = (age: number) => Math.floor(Math.max(0, age) / (limits.holdEvery ?? HOLD_EVERY))
    const age = clock.now() - at.getTime()
    return times(age) > times(age - 2000 * limits.interval)
  }

  /**
   * A LiveKit that keeps its rooms in Redis lists those of a node that died, and who was in them, for ever. CreateRoom leaves a room that a node
   * holds as it is, and puts any other on a living node: there its timeouts go on, and end it unless somebody comes back (tried on 1.13.5).
   */
  async function hold (session: Session): Promise<void> {
    const room = { name: session.room_name, sid: session.room_sid }
    if (await livekit.isHeld(room.name) || !(await livekit.standing([room])).has(room.name)) return
    const mode = modes[session.mode]
    const emptyTimeout = Math.ceil((clock.now() - session.created_at.getTime()) / 1000) + COME_BACK // LiveKit counts from when it was made
    const { sid } = await livekit.createRoom({ name: room.name, metadata: JSON.stringify(mode.roomMetadata(session)), ...roomLimits, emptyTimeout, departureTimeout: limits.departureTimeout, agentName: '', agentMetadata: '' })
    log.warn({ roomName: room.name, sessionId: session.id }, 'no node of LiveKit held the room: put on a living one')
    if (sid !== room.sid) await livekit.deleteRoom(room.name) // it had gone, and this made another
  }

  /** A stream that was on its way in when its ingress was removed. Whoever makes the next ingress meanwhile is not cut off: it is looked up again first. */
  async function cutOff (session: Session, streams: Participant[]) {
    const areStray = ({ ingress_id: id }: Session) => streams.filter((stream) => stream.identity === streamIdentity(session) && ingressIdOf(stream) && ingressIdOf(stream) !== id)
    if (areStray(session).length === 0) return
    const now = await store.byId(session.id)
    if (!now || now.ingress === 'making') return
    for (const { identity } of areStray(now)) await livekit.removeParticipant(session.room_name, identity)
  }

  /**
   * Sends for another agent, if it `isMissing` in the row as it is now. Claimed there first, so that no two replicas do; never repeated blindly (D2).
   * @returns whether it was sent for
   */
  async function dispatch (session: Session, isMissing: (row: Session) => boolean): Promise<boolean> {
    const number = session.agent_dispatches + 1
    const claimed = await store.change({ id: session.id, check_no: session.check_no }, (row) => isMissing(row)
      ? {
          session: { agent_state: 'dispatched', agent_dispatches: number, episode_dispatches: row.episode_dispatches + 1, agent_dispatched_at: new Date(clock.now()) },
          events: [event('agent.dispatched', { dispatch: number })]
        }
      : undefined)
    if (claimed?.agent_dispatches !== number) return false
    log.warn({ roomName: session.room_name, userId: session.user_id, sessionId: session.id, requestId: session.request_id, dispatch: number }, 'agent missing: dispatching another')
    try {
      await livekit.createDispatch(session.room_name, modes[session.mode].agentName, await jobMetadata(session, number))
      metrics.dispatched(session, true)
    } catch (err) {
      metrics.dispatched(session, false)
      // It may have been done or not. The count stands; the next look sees who came, and only then sends again.
      log.warn({ err, roomName: session.room_name, sessionId: session.id }, 'dispatch failed')
    }
    return true
  }

  /** The first agent stays; the others go, and with each its dispatch. */
  async function sendAway (session: Session, agents: Participant[]) {
    log.warn({ roomName: session.room_name, sessionId: session.id, agents: agents.length }, 'more than one agent: sending the later ones away')
    for (const agent of agents) await livekit.removeParticipant(session.room_name, agent.identity)
    const gone = new Set(agents.map((agent) => agent.identity))
    const dispatches = await livekit.listDispatches(session.room_name)
    for (const { id, agents } of dispatches) if (agents.some((identity) => gone.has(identity))) await livekit.deleteDispatch(id, session.room_name)
  }

  const later = (ms: number) => new Date(clock.now() + ms)
  const event = (type: 'agent.failed' | 'agent.dispatched', data: Record<string, unknown>) => ({ at: new Date(clock.now()), type, actor: 'service', data })

  let running: Promise<PassResult> | undefined
  let waiting: Promise<PassResult> | undefined
  let timer: NodeJS.Timeout | undefined
  const stopping = new AbortController()

  /** One pass over everything that is due by now. Passes of one process follow each other, and however many ask, one waits at most. */
  function reconcile (): Promise<PassResult> {
    if (running) waiting ??= running.catch(() => {}).then(run)
    return waiting ?? run()
  }

  function run (): Promise<PassResult> {
    waiting = undefined
    const mine = pass().finally(() => { running = undefined })
    running = mine
    return mine
  }

  function tick () {
    reconcile().catch((err) => { if (!stopping.signal.aborted) log.error({ err }, 'reconciler pass failed') })
  }

  return {
    reconcile,
    /** Looks every second for what is due, until `stop`. */
    start () {
      timer = setInterval(() => { if (!running) tick() }, SOON).unref()
    },
    /** Something became due just now: does not wait for the second. */
    wake () {
      if (timer && !waiting) tick()
    },
    /** Gives the pass that is under way a moment; the rows it holds are leased. */
    async stop () {
      stopping.abort()
      clearInterval(timer)
      timer = undefined
      await aMomentFor((waiting ?? running)?.catch(() => {}))
    }
  }
}

export type Reconciler = ReturnType<typeof createReconciler>

interface Look { id: string, check_no: number, next_check_at: Date | null }
/** Gives a session back, to be looked at again then, and a live one at its end at the latest. */
type Release = (session: Session, at: Date | null) => void
type Correct = (what: string) => void

/** Runs `work` for each item, at most `width` at once. */
async function each<T> (items: T[], width: number, work: (item: T) => Promise<void>) {
  const queue = items.values()
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, async () => {
    for (const item of queue) await work(item)
  }))
}

function chunks<T> (items: T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, n) => items.slice(n * size, (n + 1) * size))
}
