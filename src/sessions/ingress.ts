// The ingress of a session: the address and key by which its user brings in a stream (RTMP, WHIP), one at a time, gone with the session.
import type { Audit } from './audit.ts'
import type { Call } from './caller.ts'
import type { Clock } from './clock.ts'
import { IngressDeleted, IngressExists, IngressOff, IngressUnavailable, retryAfter, SessionNotFound, withDetails } from './errors.ts'
import type { Log } from './log.ts'
import { createLoop } from './loop.ts'
import { noMetrics, type SessionMetrics } from './metrics.ts'
import type { Mode } from './modes.ts'
import { createOwn } from './own.ts'
import { streamIdentity } from './presence.ts'
import { mayBeDone } from './rooms.ts'
import type { Change, Session, SessionStore } from './store.ts'
import { noTracing, type Tracing } from './tracing.ts'
import type { IngressKind, ModeName } from './vocabulary.ts'

export interface IngressSpec {
  /** What it is found by in `list`. */
  name: string
  roomName: string
  kind: IngressKind
  /** Of the participant that the stream becomes. */
  identity: string
  participantName: string
}

/** Where a stream is to be sent. Whoever has the key can. */
export interface StreamTarget { id: string, url: string, streamKey: string }

/** The calls to LiveKit about ingress: apart from those to rooms, whose circuit it is no reason to open. Errors say by `outcome` what became of a call. */
export interface Ingress {
  /** Never repeated by itself: each call that LiveKit got makes one. Takes 5 s at most. */
  create: (spec: IngressSpec, deadline: number) => Promise<StreamTarget>
  /** All of a room, those of others too. */
  list: (roomName: string, deadline?: number) => Promise<Array<{ id: string, name: string }>>
  /** Cuts its stream off; one that is not known is removed. Takes 5 s at most. */
  remove: (id: string, deadline?: number) => Promise<void>
}

export interface IngressStore {
  /** Takes up to `limit` sessions whose ingress is due, for whoever asks; due again at `leaseUntil`. */
  due: (now: Date, leaseUntil: Date, limit: number) => Promise<Session[]>
}

export interface IngressDependencies {
  store: IngressStore
  sessions: Pick<SessionStore, 'byRoom' | 'change'>
  livekit: Ingress
  /** Whether there may be any. */
  isOn: boolean
  modes: Record<ModeName, Mode>
  audit: Audit
  clock: Clock
  log: Log
  metrics?: SessionMetrics
  tracing?: Tracing
}

const EVERY = 1000 // ms
const IN_FLIGHT = 8
/** How long after it was asked LiveKit may still make one, ms: more than the call, and than the request, may take. */
const DOUBT = 15_000
/** Longer than a look may take: a list and a removal, ms. */
const LEASE = 15_000
/** How often LiveKit is asked whether the one there is is still there, and nothing else, ms. */
const LOOK = 30_000
/** Pauses while LiveKit cannot be asked about what is over, ms: half of the time since. After so long it is given up. */
const SHORTEST_PAUSE = 5000
const LONGEST_PAUSE = 600_000
const PATIENCE = 86_400_000
/** What making one leaves of a request's time, for the record of it, ms. */
const UNDO_TIME = 500

export function createIngress ({ store, sessions, livekit, isOn, modes, audit, clock, log, metrics = noMetrics, tracing = noTracing }: IngressDependencies) {
  const own = createOwn({ store: sessions, audit, tracing })
  const later = (ms: number) => new Date(clock.now() + ms)
  const fields = (session: Session) => ({ roomName: session.room_name, userId: session.user_id, sessionId: session.id })
  const change = (session: Pick<Session, 'room_name'>, decide: (row: Session) => Change | undefined, deadline?: number) => sessions.change({ room_name: session.room_name }, decide, [], deadline)

  /** None, but for one that LiveKit may have made after it was last `looked` for, ms: when its time is over it is looked for once more. */
  function none (doubtUntil: Date | null, looked: number): Partial<Session> {
    const doubt = doubtUntil && doubtUntil.getTime() > looked ? doubtUntil : null
    return { ingress: null, ingress_kind: null, ingress_id: null, ingress_doubt_until: doubt, ingress_check_at: doubt }
  }

  const deleted = (actor: string): NonNullable<Change['events']> => [{ at: later(0), type: 'ingress.deleted', actor, data: {} }]

  /**
   * Makes LiveKit agree with the row: of those that were asked for until now only the one that is ready in a live session stays.
   * Whoever makes the next one meanwhile is not touched: its number is higher.
   */
  async function agree (session: Session, deadline?: number): Promise<void> {
    const looked = clock.now()
    const stays = session.ingress === 'ready' && session.state === 'live' ? session.ingress_id : undefined
    const listed = (await livekit.list(session.room_name, deadline)).filter(({ name }) => numberOf(session, name) <= session.ingress_asks)
    for (const { id } of listed) if (id !== stays) await livekit.remove(id, deadline)
    const isThere = listed.some(({ id }) => id === stays)
    let isRemoved = false
    await change(session, (row) => {
      isRemoved = false
      if (!isSame(row, session)) return undefined
      if (isThere) return row.state === 'live' ? { session: { ingress_check_at: later(LOOK) } } : undefined // over: it is due at once
      isRemoved = row.ingress === 'ready' || row.ingress === 'removing'
      // Gone in LiveKit while nobody here wanted that.
      const events = row.ingress === 'ready' && row.state === 'live' ? deleted('livekit') : []
      return { session: none(row.ingress_doubt_until, looked), events }
    }, deadline)
    if (!isRemoved) return
    metrics.ingress(session, 'removed')
    log.info(fields(session), 'ingress removed')
  }

  /** One that is due: there, over, to be removed, or left by whoever made it. */
  async function see (session: Session): Promise<void> {
    try {
      await agree(session)
    } catch (err) {
      const over = session.ingress ? session.ended_at : session.ingress_doubt_until
      const overFor = over ? clock.now() - over.getTime() : 0
      if (overFor >= PATIENCE) {
        log.error({ err, ...fields(session) }, 'ingress given up: it may be left in LiveKit')
        await change(session, (row) => isSame(row, session) ? { session: none(row.ingress_doubt_until, clock.now()) } : undefined)
        return
      }
      log.warn({ err, ...fields(session) }, 'ingress could not be looked at')
      const pause = Math.min(Math.max(overFor / 2, SHORTEST_PAUSE), LONGEST_PAUSE)
      await change(session, (row) => row.ingress_check_at ? { session: { ingress_check_at: later(pause) } } : undefined)
    }
  }

  async function settle (stopping?: AbortSignal): Promise<void> {
    for (let due; !stopping?.aborted && (due = await store.due(later(0), later(LEASE), IN_FLIGHT)).length > 0;) {
      await Promise.all(due.map((session) => see(session).catch((err) => log.warn({ err, ...fields(session) }, 'ingress not looked at'))))
    }
  }

  /** Claims the next number in the row, before LiveKit is asked. @throws SessionNotFound, IngressExists */
  async function claim (session: Session, kind: IngressKind, deadline: number): Promise<{ number: number, isMine: (row: Session) => boolean, doubtBefore: Date | null }> {
    let number: number | undefined
    let doubtBefore: Date | null = null
    const row = await change(session, (row) => {
      number = undefined
      if (row.state !== 'live' || row.ingress !== null) return undefined
      number = row.ingress_asks + 1
      doubtBefore = row.ingress_doubt_until
      return { session: { ingress: 'making', ingress_kind: kind, ingress_asks: number, ingress_doubt_until: later(DOUBT), ingress_check_at: later(DOUBT) } }
    }, deadline)
    if (number === undefined) throw row?.state === 'live' ? new IngressExists() : new SessionNotFound()
    const mine = number
    return { number, doubtBefore, isMine: (row) => row.ingress === 'making' && row.ingress_asks === mine }
  }

  const unavailable = (error: unknown, session: Session) =>
    withDetails(retryAfter(new IngressUnavailable({ cause: error }), 5), { told: true, context: { sessionId: session.id } })

  return {
    settle,

    /** Warns when streams are to be taken in, and LiveKit takes none: asked once, about no room. */
    async check (): Promise<void> {
      if (isOn) await livekit.list('no-room').catch((err) => log.warn({ err }, 'LiveKit takes no streams in: it has no Redis, or is away'))
    },

    /**
     * Makes the one ingress of a live session of one's own: row, RPC, row. The key is in this answer and nowhere else.
     * @throws IngressOff, SessionNotFound, NotYourSession, IngressExists, IngressUnavailable, IngressDeleted
     */
    async create (call: Call, modeName: ModeName, roomName: string, kind: IngressKind) {
      if (!isOn) throw new IngressOff()
      const session = await own(call, modeName, roomName, ['live'])
      const { number, isMine, doubtBefore } = await claim(session, kind, call.deadline)
      let made: StreamTarget
      try {
        made = await livekit.create({
          name: nameOf(session, number),
          roomName,
          kind,
          identity: streamIdentity(session),
          participantName: modes[modeName].participantName(call.user)
        }, call.deadline - UNDO_TIME)
      } catch (error) {
        metrics.ingress(session, 'failed')
        await change(session, (row) => isMine(row) ? { session: none(mayBeDone(error) ? row.ingress_doubt_until : doubtBefore, -Infinity) } : undefined).catch(() => {}) // the loop's, later
        throw unavailable(error, session)
      }

      let ready: Session | undefined
      try {
        ready = await change(session, (row) => isMine(row) && row.state === 'live'
          ? {
              session: { ingress: 'ready', ingress_id: made.id, ingress_doubt_until: doubtBefore, ingress_check_at: later(LOOK) },
              events: [{ at: later(0), type: 'ingress.created', actor: `user:${call.user.id}`, data: { kind } }]
            }
          : undefined, call.deadline)
      } finally {
        // Nobody gets its key.
        if (ready?.ingress_id !== made.id) await livekit.remove(made.id, call.deadline).catch((err) => log.warn({ err, ...fields(session) }, 'ingress could not be removed'))
      }
      if (ready?.ingress_id !== made.id) throw ready?.state === 'live' ? new IngressDeleted() : new SessionNotFound()
      metrics.ingress(ready, 'made')
      call.log.info({ roomName, userId: call.user.id, kind }, 'ingress made')
      return { room_name: roomName, kind, url: made.url, stream_key: made.streamKey }
    },

    /**
     * Removes the ingress of a live session of one's own, and cuts off its stream; where there is none, none is removed.
     * @throws SessionNotFound, NotYourSession, IngressUnavailable; then it is removed as soon as can be
     */
    async remove (call: Call, modeName: ModeName, roomName: string) {
      const session = await own(call, modeName, roomName, ['live'])
      const row = await change(session, (row) => row.ingress === 'making' || row.ingress === 'ready'
        ? { session: { ingress: 'removing', ingress_check_at: later(LEASE) }, events: deleted(`user:${call.user.id}`) }
        : undefined, call.deadline)
      if (row?.ingress === 'removing') {
        await agree(row, call.deadline).catch(async (error) => {
          await change(session, (row) => row.ingress === 'removing' ? { session: { ingress_check_at: later(EVERY) } } : undefined).catch(() => {}) // its lease runs out by itself
          throw unavailable(error, session)
        })
      }
      call.log.info({ roomName, userId: call.user.id }, 'ingress deleted')
      return { status: 'deleted' as const, room_name: roomName }
    },

    /** Sees to all that is due. */
    ...createLoop(EVERY, settle, (err) => log.error({ err }, 'ingress could not be seen to'))
  }
}

export type Ingresses = ReturnType<typeof createIngress>

/** The name that LiveKit knows it by: whose it is, and which ask it comes from. */
const nameOf = ({ id }: Pick<Session, 'id'>, number: number) => `${id}.${number}`

/** Infinity for what is none of this session's. */
function numberOf ({ id }: Pick<Session, 'id'>, name: string): number {
  const number = name.startsWith(`${id}.`) ? Number(name.slice(id.length + 1)) : NaN
  return Number.isInteger(number) ? number : Infinity
}

/** Whether nobody has made or removed one since `session` was read. */
const isSame = (row: Session, session: Session) => row.ingress_asks === session.ingress_asks && row.ingress === session.ingress
