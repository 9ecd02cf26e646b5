// The rules of a session, from the user's side: start, status, end and list what is one's own.
import { randomUUID } from 'node:crypto'
import type { AgentArrival } from './agent-arrival.ts'
import type { Audit } from './audit.ts'
import type { Call } from './caller.ts'
import type { Category } from './categories.ts'
import type { Clock } from './clock.ts'
import { AgentDidNotCome, CategoryNotFound, EndedWhileStarting, KeyReused, MonthlyLimitReached, RecordingsOff, retryAfter, SessionNotFound, StartedSessionEnded, StartInProgress, TooManySessions, TooManyStarts, TranscriptsOff, withDetails } from './errors.ts'
import { endBy, type Lifecycle } from './lifecycle.ts'
import { noMetrics, type SessionMetrics } from './metrics.ts'
import { grantOf, jobMetadata as plainMetadata, roomLimits, type Mode } from './modes.ts'
import { createOwn } from './own.ts'
import { ingressNow, present, statusOf } from './presence.ts'
import { mayBeDone, type Participant, type Rooms } from './rooms.ts'
import type { Session, SessionStore } from './store.ts'
import { noTracing, type Tracing } from './tracing.ts'
import { untilNextMonth } from './usage.ts'
import type { AgentType, ModeName } from './vocabulary.ts'

export interface SessionsDependencies {
  store: SessionStore
  livekit: Pick<Rooms, 'createRoom' | 'deleteRoom' | 'listParticipants' | 'standing' | 'joinToken'>
  lifecycle: Lifecycle
  audit: Audit
  agentArrival: Pick<AgentArrival, 'wait'>
  modes: Record<ModeName, Mode>
  clock: Clock
  limits: { sessionsPerUser: number, startsPerMinute: number, /** No limit when not given. */ minutesPerMonth?: number, departureTimeout: number, reconcileInterval: number }
  metrics?: SessionMetrics
  tracing?: Tracing
  /** What the agent is told with its dispatch. */
  jobMetadata?: (session: Session, dispatch: number) => Promise<string> | string
  /** Whether a start may ask for a transcript. */
  transcripts?: boolean
  /** Which object holds the recording of a session; undefined where none are made. */
  recordingFile?: (sessionId: string, mode: ModeName) => string
  /** The address that clients are given. */
  livekitUrl: string
}

/** What is asked of a start, by mode. */
export interface StartRequest {
  agent_type?: AgentType
  category?: Pick<Category, 'id' | 'name' | 'enabled'>
  transcript?: boolean
  /** Of the transcript, at its end. */
  summary?: boolean
  recording?: boolean
  /** In writing: no voice on either side. */
  text_only?: boolean
  /** BCP 47. */
  language?: string
}

/** How far the clocks of two replicas may be apart, ms: what the reconciler waits beyond the time that a start may take. */
const CLOCK_SKEW = 5000
/** How often a start looks for a place when others take it in the same moment. */
const ATTEMPTS = 10
/** What waiting for an agent leaves of a request's time, for the undo, ms (B6). */
const LAST_SECOND = 1000
/** What CreateRoom leaves of a request's time, for the undo, ms. */
const UNDO_TIME = 500

export function createSessions ({ store, livekit, lifecycle, audit, agentArrival, modes, clock, limits, livekitUrl, jobMetadata = plainMetadata, transcripts = false, recordingFile, metrics = noMetrics, tracing = noTracing }: SessionsDependencies) {
  const own = createOwn({ store, audit, tracing })
  const later = (ms: number) => new Date(clock.now() + ms)
  const connectedMs = limits.minutesPerMonth === undefined ? undefined : limits.minutesPerMonth * 60_000

  return {
    /**
     * Starts a session: one insert, one RPC, one update, one signature. With an Idempotency-Key, the same start again gives the same room (D3).
     * @throws TranscriptsOff, RecordingsOff, CategoryNotFound, TooManySessions, TooManyStarts, MonthlyLimitReached, KeyReused, StartInProgress, StartedSessionEnded, and what the store and LiveKit throw
     */
    async start (call: Call, modeName: ModeName, request: StartRequest, idempotencyKey?: string) {
      try {
        const issued = await begin(call, modeName, request, idempotencyKey)
        metrics.answered(modeName, issued.replayed ? 'replayed' : 'started')
        return issued
      } catch (error) {
        const { statusCode = 500 } = error as { statusCode?: number }
        metrics.answered(modeName, statusCode < 500 ? 'refused' : 'failed')
        throw error
      }
    },

    /** What LiveKit knows of the session's room (A4). A room that is gone ends the session. */
    async status (call: Call, modeName: ModeName, roomName: string) {
      const session = await own(call, modeName, roomName, ['live'])
      const participants = await participantsOf(call, session)
      if (!participants) throw new SessionNotFound()
      const status = statusOf(participants)
      call.log.info({ roomName, userId: call.user.id, ...status }, `${modeName} session status`)
      return { room_name: roomName, ...status, ingress: ingressNow(session, participants), created_at: session.created_at }
    },

    /**
     * A fresh token for a session of one's own (D5), never beyond its end. LiveKit is asked: a room that is gone ends the session.
     * @param modeName any mode when not given
     */
    async rejoin (call: Call, modeName: ModeName | undefined, roomName: string) {
      const session = await own(call, modeName, roomName, ['live'])
      if (!await participantsOf(call, session)) throw new SessionNotFound()
      const issued = await issue(call, modes[session.mode], session, false)
      await audit.issued(call, session)
      call.log.info({ roomName, userId: call.user.id }, 'token issued again')
      return issued
    },

    /** Ends the session (A5). One whose end is under way counts as ended; one whose end was given up is ended again. */
    async end (call: Call, modeName: ModeName, roomName: string) {
      const mine = { room_name: roomName, mode: modeName, user_id: call.user.id }
      const ended = await lifecycle.close(mine, endBy(call, mine), call.deadline)
      if (ended) tracing.about(ended)
      else await own(call, modeName, roomName, ['ending']) // for what it may not be ended, if not because it is being ended
      call.log.info({ roomName, userId: call.user.id }, `${modeName} session ended`)
      return { status: 'ended' as const, room_name: roomName }
    },

    /** The caller's live sessions (A6), from our own index: LiveKit is asked about these rooms only (D6). */
    async active (call: Call, modeName: ModeName) {
      const mine = await store.liveOf(call.user.id, modeName, call.deadline)
      const rooms = await Promise.all(mine.map(async (session) => ({ session, participants: await livekit.listParticipants(session.room_name, call.deadline) })))
      const empty = rooms.filter(({ participants }) => participants.length === 0).map(({ session }) => roomOf(session))
      const standing = await livekit.standing(empty, call.deadline)
      const sessions = []
      for (const { session, participants } of rooms) {
        const isThere = participants.length > 0 || standing.has(session.room_name)
        if (isThere) sessions.push({ ...session, counselor_category: session.category_name, participants: present(participants).length })
        else await lifecycle.bury(session, call.deadline)
      }
      call.log.info({ userId: call.user.id, sessions: sessions.length }, `active ${modeName} sessions`)
      return { sessions }
    }
  }

  async function begin (call: Call, modeName: ModeName, request: StartRequest, idempotencyKey?: string) {
    const mode = modes[modeName]
    const startedWith = async () => idempotencyKey === undefined ? undefined : store.byKey(call.user.id, idempotencyKey, call.deadline)
    if (request.transcript && !transcripts) throw new TranscriptsOff()
    if (request.recording && !recordingFile) throw new RecordingsOff()
    if (request.category?.enabled === false) {
      const before = await startedWith()
      if (!before) throw new CategoryNotFound()
      return replay(call, mode, before, request)
    }
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const id = randomUUID()
      const lease = leaseOf(call)
      const claimed = await store.claim({
        id,
        mode: mode.name,
        room_name: mode.roomName(call.user.id, id),
        user_id: call.user.id,
        agent_type: request.agent_type ?? null,
        category_id: request.category?.id ?? null,
        category_name: request.category?.name ?? null,
        idempotency_key: idempotencyKey ?? null,
        request_id: call.id,
        traceparent: tracing.traceparent() ?? null,
        transcript: request.transcript ? 'writing' : null,
        summary: request.summary ?? false,
        recording: request.recording ? 'pending' : null,
        recording_file: request.recording ? recordingFile!(id, mode.name) : null,
        recording_check_at: request.recording ? lease.next_check_at : null,
        text_only: request.text_only ?? false,
        language: request.language ?? null,
        agent_state: mode.agentName ? 'dispatched' : 'none',
        agent_dispatches: mode.agentName ? 1 : 0,
        created_at: later(0),
        expires_at: later(mode.maxDuration * 1000),
        ...lease
      }, { slots: limits.sessionsPerUser, startsPerMinute: limits.startsPerMinute, connectedMs }, call.deadline).catch(async (error) => {
        // It may have landed all the same: then it holds a slot for nobody.
        await lifecycle.abandon({ id, check_no: 0, expires_at: later(0) }, false, call.deadline).catch(() => {})
        throw error
      })
      if (claimed) return open(call, mode, claimed, false)

      const before = await startedWith()
      if (before) return replay(call, mode, before, request)
      await refuse(call)
    }
    throw retryAfter(new TooManyStarts(), 1)
  }

  /** How long the row is the start's own: the time that its request has, and for the reconciler some more. */
  function leaseOf (call: Call) {
    const left = call.deadline - clock.elapsed()
    return { lease_until: later(left), next_check_at: later(left + CLOCK_SKEW) }
  }

  /**
   * Row to room to token, for whoever holds the row: called once for a new one, and again for one whose starter died.
   * Each write carries the row's `check_no`: after another has taken the row over, nothing of this attempt lands, not even its undo.
   */
  async function open (call: Call, mode: Mode, session: Session, replayed: boolean) {
    let room: { sid: string } | undefined
    let live: Session | undefined
    let wordLost = false
    tracing.about(session)
    try {
      room = await livekit.createRoom({
        name: session.room_name,
        metadata: JSON.stringify(mode.roomMetadata(session)),
        ...roomLimits,
        departureTimeout: limits.departureTimeout,
        agentName: mode.agentName,
        agentMetadata: await jobMetadata(session, 1)
      }, call.deadline - UNDO_TIME)
      if (mode.agentWait > 0) await awaitAgent(session, call.deadline - LAST_SECOND)

      wordLost = true // until the answer is here
      const now = clock.now()
      // A whole second, so that the token, which counts in seconds, cannot outlive the session.
      const expiresAt = new Date(Math.ceil(now / 1000 + mode.maxDuration) * 1000)
      live = await store.goLive(session.id, session.check_no, { room_sid: room.sid, expires_at: expiresAt, next_check_at: new Date(Math.min(now + limits.reconcileInterval * 1000, expiresAt.getTime())), actor: `user:${call.user.id}`, now: new Date(now) }, call.deadline)
      wordLost = false
    } catch (error) {
      // A starter before this one may have made the room.
      const roomMayExist = room !== undefined || replayed || mayBeDone(error)
      const undone = await lifecycle.abandon(session, roomMayExist, call.deadline).catch(() => null) // the reconciler's, once the lease is over
      if (undone !== undefined) throw withDetails(error as Error, { context: { ...(error as { context?: object }).context, roomName: session.room_name, sessionId: session.id } })
    }

    // It is live and only the word of it was lost, or somebody else decided: a retry has taken the row over, or the session was ended.
    const decided = live ?? await store.byId(session.id, call.deadline)
    if (decided?.state === 'live') {
      const mine = live !== undefined || wordLost
      if (mine) {
        metrics.started(decided)
        call.log.info({ roomName: decided.room_name, userId: decided.user_id, agentType: decided.agent_type, category: decided.category_name, sessionId: decided.id }, `${mode.name} session started`)
      }
      return issue(call, mode, decided, replayed || !mine)
    }
    if (decided?.state === 'starting') throw retryAfter(new StartInProgress(), 1)
    // Its end may have come before the room did; one that is still under way sees to the room itself.
    if (decided?.state === 'ended') await livekit.deleteRoom(session.room_name, call.deadline).catch(() => {})
    throw new EndedWhileStarting()
  }

  /** Says yes only when the agent is on its way (B6). */
  async function awaitAgent (session: Session, until: number) {
    const arrival = await agentArrival.wait(session.room_name, until)
    if (arrival !== 'there') throw new AgentDidNotCome({ cause: new Error(arrival === 'failed' ? 'its avatar failed' : 'no worker took the dispatch') })
  }

  /** A token for what is left of the session. @throws StartedSessionEnded, SessionNotFound when nothing is: it is about to be ended */
  function issue (call: Call, mode: Mode, session: Session, replayed: boolean) {
    const ttl = Math.min(mode.tokenTtl, Math.floor((session.expires_at.getTime() - clock.now()) / 1000))
    if (ttl <= 0) throw replayed ? new StartedSessionEnded() : new SessionNotFound()
    const { token, expiresAt } = livekit.joinToken({ roomName: session.room_name, identity: session.user_id, name: mode.participantName(call.user), ttl, grant: grantOf(mode, session) })
    return { session, token, livekit_url: livekitUrl, expires_at: expiresAt, replayed }
  }

  async function replay (call: Call, mode: Mode, session: Session, request: StartRequest) {
    const isTheSame = session.mode === mode.name && session.agent_type === (request.agent_type ?? null) && session.category_id === (request.category?.id ?? null) &&
      (session.transcript !== null) === (request.transcript ?? false) && session.summary === (request.summary ?? false) && (session.recording !== null) === (request.recording ?? false) && session.text_only === (request.text_only ?? false) && session.language === (request.language ?? null)
    if (!isTheSame) throw new KeyReused()
    switch (session.state) {
      case 'live': {
        if (!await participantsOf(call, session)) throw new StartedSessionEnded()
        const issued = issue(call, mode, session, true)
        await audit.issued(call, session, { replayed: true })
        return issued
      }
      case 'starting': {
        const taken = await store.takeOver(session.id, { now: later(0), ...leaseOf(call) }, call.deadline)
        if (!taken) throw retryAfter(new StartInProgress(), 1)
        return open(call, mode, taken, true)
      }
      default: throw new StartedSessionEnded()
    }
  }

  /** Says why a start found no place; nothing when there is one now: others took those it was offered, or a start failed meanwhile. */
  async function refuse (call: Call) {
    const { live, recent, oldest } = await store.usage(call.user.id, later(0), call.deadline)
    const { sessionsPerUser, startsPerMinute } = limits
    if (startsPerMinute > 0 && recent >= startsPerMinute) {
      await audit.denied(call, undefined, { reason: 'too_many_starts' })
      throw retryAfter(new TooManyStarts(), Math.max(1, Math.ceil((oldest!.getTime() + 60_000 - clock.now()) / 1000)), { limit: startsPerMinute })
    }
    if (live >= sessionsPerUser) {
      await audit.denied(call, undefined, { reason: 'too_many_sessions' })
      throw retryAfter(new TooManySessions(), 60, { limit: sessionsPerUser })
    }
    if (connectedMs !== undefined && await store.connectedThisMonth(call.user.id, later(0), call.deadline) >= connectedMs) {
      await audit.denied(call, undefined, { reason: 'monthly_limit_reached' })
      throw retryAfter(new MonthlyLimitReached(), untilNextMonth(clock.now()), { limit: limits.minutesPerMonth })
    }
  }

  /** Who is in the room; undefined, and the session over, when there is no such room any more. */
  async function participantsOf (call: Call, session: Session): Promise<Participant[] | undefined> {
    const participants = await livekit.listParticipants(session.room_name, call.deadline)
    if (participants.length > 0) return participants
    const standing = await livekit.standing([roomOf(session)], call.deadline)
    if (standing.has(session.room_name)) return participants
    await lifecycle.bury(session, call.deadline)
    return undefined
  }
}

const roomOf = (session: Session) => ({ name: session.room_name, sid: session.room_sid })

export type Sessions = ReturnType<typeof createSessions>
