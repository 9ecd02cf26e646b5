// What LiveKit's events and the end of a session do to it: close what somebody ends, bury what is gone, hear what LiveKit tells.
import type { Call } from './caller.ts'
import type { Clock } from './clock.ts'
import { noMetrics, type SessionMetrics } from './metrics.ts'
import { roomLimits } from './modes.ts'
import { merged, observe, whyGone, type Report } from './presence.ts'
import type { LiveKitEvent, Rooms } from './rooms.ts'
import type { EndKey, Session, SessionStore, Stay } from './store.ts'
import { noTracing, type Tracing } from './tracing.ts'
import type { EndReason } from './vocabulary.ts'

/** How long an end may take before another may take it over, ms: a request's deadline and some more. */
const END_LEASE = 10_000
/** A refreshed token of a client that was inside lives 10 minutes, and LiveKit allows a minute of leeway (livekit-source.md section 6). */
const REFRESHED_TOKEN_LIFE = 11 * 60_000
/**
 * When the room of an ended session is looked at again, ms after the end. A join that races the delete can bring the room back even
 * with auto_create off, and LiveKit may not list it for 5 s; it goes on trying to join for 16 s, and to create a room for 40 s.
 */
const LOOKS_AFTER_END = [1000, 2000, 4000, 6000, 10_000, 16_000, 40_000]
/**
 * And when LiveKit said itself that the room is finished, so its webhooks come: then these, for the one that would have told of a room
 * that came back, should it be lost.
 */
const LATE_LOOKS = [16_000, 40_000]

const understood = new Set(['room_started', 'room_finished', 'participant_joined', 'participant_left'])

export interface LifecycleDependencies {
  store: SessionStore
  livekit: Pick<Rooms, 'deleteRoom'>
  clock: Clock
  /** Seconds until an agent counts as missing. */
  agentTimeout: number
  /** Told of each agent that came to a room. */
  onAgent?: (roomName: string) => void
  /** Tells the reconciler that a session is due now. */
  wake?: () => void
  metrics?: SessionMetrics
  tracing?: Tracing
}

export function createLifecycle ({ store, livekit, clock, agentTimeout, onAgent = () => {}, wake = () => {}, metrics = noMetrics, tracing = noTracing }: LifecycleDependencies) {
  const now = () => new Date(clock.now())
  const later = (ms: number) => new Date(clock.now() + ms)

  return {
    /**
     * Ends a session: row to `ending`, room deleted, row to `ended`. Whatever fails in between, the reconciler finishes.
     * @param holding number of the look that holds the row, for an end that is to be finished
     * @returns the session, over, or still `ending` when another took the end from here; undefined when another is at it, it is over, or there is none
     * @throws LiveKitFailed with the row left `ending`: no token, no listing, slot held until it is done
     */
    async close (key: EndKey, { reason, by }: { reason: EndReason, by: string }, deadline?: number, holding?: number): Promise<Session | undefined> {
      const ending = await store.beginEnd(key, { reason, by, now: now(), lease_until: later(END_LEASE), holding }, deadline)
      if (!ending) return undefined
      try {
        await livekit.deleteRoom(ending.room_name, deadline)
      } catch (error) {
        // Shown to the reconciler at once; if even that fails, the lease runs out by itself.
        await store.release([{ id: ending.id, check_no: ending.check_no, next_check_at: later(1000) }]).then(wake, () => {})
        throw error
      }
      const over = await store.finishEnd(ending.id, ending.check_no, { now: now(), watch_until: watchUntil(ending, now()), next_check_at: later(LOOKS_AFTER_END[0]!), late: later(LATE_LOOKS[0]!) }, deadline)
      if (over) metrics.ended(over)
      return over ?? ending
    },

    /**
     * A start that failed, or whose starter died: over at once, so that it holds neither slot nor key. Only while `session.check_no` still
     * holds the row. A room that may exist is deleted as well as can be; the looks after the end find what is left of it.
     * @returns the ended session; undefined when it is another's to decide on
     */
    async abandon (session: Pick<Session, 'id' | 'check_no' | 'expires_at'>, roomMayExist: boolean, deadline?: number): Promise<Session | undefined> {
      const over = await store.failStart(session.id, session.check_no, { now: now(), watch_until: watchUntil(session, now()), next_check_at: roomMayExist ? later(LOOKS_AFTER_END[0]!) : null }, deadline)
      if (!over) return undefined
      metrics.ended(over)
      if (roomMayExist) await livekit.deleteRoom(over.room_name, deadline).catch(() => {})
      return over
    },

    /** A room that LiveKit does not have any more although nobody here ended it: the session is over, for the reason its stays tell. */
    async bury (session: Session, deadline?: number): Promise<Session | undefined> {
      const over = await store.change({ id: session.id, check_no: session.check_no }, (current, stays) => {
        if (current.state !== 'live') return undefined
        const timedOut = clock.now() >= current.created_at.getTime() + roomLimits.emptyTimeout * 1000
        return ended(current, whyGone(stays) ?? (timedOut ? 'idle' : 'lost'), 'service')
      }, [], deadline)
      if (over) metrics.reported(session, over)
      return over
    },

    /**
     * Applies a webhook, in one transaction and without a call to LiveKit (it would stall the room's queue of events).
     * Any order, doubles and losses end in the same state.
     * @returns what became of it: applied to a session, about no room of ours, or of a kind that changes nothing
     */
    async apply (event: LiveKitEvent): Promise<'applied' | 'unknown_room' | 'ignored'> {
      if (!understood.has(event.type) || !event.roomName) return 'ignored'
      let before: Session | undefined
      const session = await store.change({ room_name: event.roomName }, (current, stays) => {
        before = current
        switch (event.type) {
          case 'participant_joined':
          case 'participant_left': {
            if (!event.participant) return undefined
            const change = observe(current, stays, reportOf(event), now())
            const changed = { ...current, ...change.session }
            const look = nextLook(changed, stays, change.stays!, event)
            const pulled = look && !(current.next_check_at && current.next_check_at <= look) && { next_check_at: look }
            const sooner = event.type === 'participant_joined' && isOver(current) ? cameBack(current) : pulled
            if (change.stays!.length === 0 && !sooner) return undefined // told before
            return { ...change, session: { ...change.session, ...sooner } }
          }
          case 'room_started':
            // A room of a session that is over: somebody came in with an old token (D1).
            return isOver(current) ? { session: cameBack(current) } : undefined
          case 'room_finished':
            if (event.roomSid !== current.room_sid) return undefined
            if (current.state === 'live') return ended(current, whyGone(stays) ?? 'idle', 'livekit', event.id)
            if (current.finished_at) return undefined
            return { session: { finished_at: event.at, ...(isToBeLookedAtLater(current) && { next_check_at: lookAfterEnd({ ...current, ended_at: current.ended_at!, finished_at: event.at }, now()) ?? null }) } }
          default:
            return undefined
        }
      }, event.participant ? [event.participant.sid] : [])
      if (session) {
        tracing.about(session)
        metrics.reported(before!, session)
        if (session.next_check_at && session.next_check_at <= now()) wake()
        if (event.type === 'participant_joined' && event.participant?.kind === 'AGENT') onAgent(event.roomName)
      }
      return session ? 'applied' : 'unknown_room'
    }
  }

  /**
   * When who came or went is a reason to look at the room. A start is nobody else's while its starter lives, an end is on its way, and
   * whoever went with the room is told of by the end of the room. What comes as it should needs no look at all.
   */
  function nextLook (session: Session, known: Stay[], changed: Stay[], { type, participant }: LiveKitEvent): Date | undefined {
    if (session.state !== 'live') return undefined
    const isAgent = participant!.kind === 'AGENT'
    if (type === 'participant_left') return isAgent && !participant!.wentWithRoom ? now() : undefined
    const agents = merged(known, changed).filter((stay) => stay.kind === 'AGENT' && !stay.left_at).length
    if (agents > 1) return now()
    return agents === 0 && !isAgent && session.agent_state !== 'none' ? soonest(session) : undefined
  }

  /**
   * A room that came back after its end is looked at now, and again at all the times at which LiveKit may show it. It has the sid that it
   * had, and this may be told before the word that the room is finished, which is about the room before: that word saves no look any more.
   */
  function cameBack ({ state }: Pick<Session, 'state'>) {
    return { revived_at: now(), ...(state === 'ended' && { next_check_at: now() }) }
  }

  function isOver ({ state }: Pick<Session, 'state'>): boolean {
    return state === 'ending' || state === 'ended'
  }

  /** Whether the usual looks after an end are still to come; one that was asked for is not put off. */
  function isToBeLookedAtLater ({ state, next_check_at: next }: Session): boolean {
    return state === 'ended' && next !== null && next > now()
  }

  /** An agent that was lost before the user came is sent for now; one that is on its way is missed when its time is over. */
  function soonest (session: Session): Date {
    return session.agent_state === 'dispatched' ? later(agentTimeout * 1000) : now()
  }

  function ended (session: Session, reason: EndReason, by: string, livekitId?: string) {
    const at = now()
    const finished = livekitId ? at : null
    return {
      session: { state: 'ended' as const, end_reason: reason, ended_by: by, ended_at: at, finished_at: finished, watch_until: watchUntil(session, at), next_check_at: lookAfterEnd({ ended_at: at, finished_at: finished, revived_at: null }, at) ?? null, ...(session.ingress === 'ready' && { ingress_check_at: at }) },
      events: [{ at, type: 'session.ended' as const, actor: by, data: { reason }, livekit_id: livekitId }]
    }
  }
}

/** Until when a token of this session, or one refreshed up to `now`, could still open a server that lets it in (D1). */
export function watchUntil (session: Pick<Session, 'expires_at'>, now: Date): Date {
  return new Date(Math.max(session.expires_at.getTime() + 60_000, now.getTime() + REFRESHED_TOKEN_LIFE))
}

/** Why a session is over that this caller ends, and by whom: its user, or an administrator. */
export function endBy ({ user }: Pick<Call, 'user'>, session: Pick<Session, 'user_id'>): { reason: EndReason, by: string } {
  const role = session.user_id === user.id ? 'user' : 'admin'
  return { reason: role, by: `${role}:${user.id}` }
}

/** The next look at the room of a session that has ended; undefined when all have been. */
export function lookAfterEnd ({ ended_at: endedAt, finished_at: finishedAt, revived_at: revivedAt }: Pick<Session, 'finished_at' | 'revived_at'> & { ended_at: Date }, now: Date): Date | undefined {
  const since = Math.max(endedAt.getTime(), revivedAt?.getTime() ?? 0)
  const next = (finishedAt && !revivedAt ? LATE_LOOKS : LOOKS_AFTER_END).find((ms) => since + ms > now.getTime())
  return next === undefined ? undefined : new Date(since + next)
}

export type Lifecycle = ReturnType<typeof createLifecycle>

function reportOf (event: LiveKitEvent): Report {
  const participant = event.participant!
  return event.type === 'participant_joined'
    ? { joined: [participant], livekitId: event.id }
    : { left: [{ ...participant, leftAt: event.at, withRoom: participant.wentWithRoom }], livekitId: event.id }
}
