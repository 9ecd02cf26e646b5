// What holds in every schedule: the promises of a session's life, each in one place, by name.
import type { LiveKitEvent } from '../../src/sessions/rooms.ts'
import type { Session } from '../../src/sessions/store.ts'
import type { ModeName } from '../../src/sessions/vocabulary.ts'
import type { Row, Statements } from './store.ts'
import type { World } from './world.ts'

/** A start that was asked for, and what the model knows of it. */
export interface Start {
  /** Its request's id, which the row it makes carries. */
  id: string
  user: string
  mode: ModeName
  key: string | undefined
  replica: 0 | 1
  deadline: number
  begunAt: number
  /** The step and LiveKit's restarts at which it began. */
  step: number
  restarts: number
  state: 'running' | 'answered' | 'refused' | 'dead'
  /** The step from which on it held nothing. */
  freeSince?: number
  /** What went wrong for it, if anything did. */
  met: Set<'database' | 'livekit'>
  /** It is taking itself back. */
  undoing: boolean
}

export interface InvariantsOptions {
  sql: Statements
  world: World
  limits: { sessionsPerUser: number, maxDispatches: number }
  now: () => number
}

/** From this long on a call may have been given up, ms: a start that took longer may fail without any other trouble. */
const PATIENCE = 1900

/** Within this long after its maximum duration a session is over, ms; clocks differ by up to 4 s. */
const OVERTIME = 6000

/** Within this long a room is gone that LiveKit shows although its session is over, ms; clocks differ by up to 4 s. */
const SOON = 15_000

export class Broken extends Error {
  constructor (invariant: string, what: string) {
    super(`${invariant}: ${what}`)
    this.name = 'Broken'
  }
}

/** What an agent's process has used when it makes its n-th report. */
export const usedUntil = (seq: number) => ({ stt_ms: 1000 * (seq + 1), tts_ms: 2000 * (seq + 1), input_tokens: 100 * (seq + 1), output_tokens: 10 * (seq + 1), tool_calls: seq })

export function createInvariants ({ sql, world, limits, now }: InvariantsOptions) {
  const starts: Start[] = []
  /** Sessions that somebody has asked to end, those whose end was confirmed, those whose token was given out. */
  const asked = new Set<string>()
  const confirmed = new Set<string>()
  const given = new Set<string>()
  const seenEnded = new Set<string>()
  /** Ids of the messages that the receiver has, in the order they came first. */
  const received = new Set<string>()
  /** Until when somebody who is not there any more held a row. */
  const held = new Map<string, number>()
  /** Lines that an agent was told are written; transcripts that were ready, with their lines; those whose deletion was confirmed. */
  const written: Array<{ id: string, seq: number }> = []
  const ready = new Map<string, number>()
  const forgotten = new Set<string>()
  /** By session, then process: the last report that was made, and the last one that was answered 200. */
  const reported = new Map<string, Map<string, { made: number, taken: number }>>()
  /** Recordings that came to an end, and those whose deletion was confirmed. */
  const recorded = new Map<string, string>()
  const unrecorded = new Set<string>()
  /** By session: the keys of ingresses that were given out, those whose deletion was confirmed. */
  const streamKeys = new Map<string, string[]>()
  const deadKeys = new Set<string>()
  /** Rooms whose agent hung up: it may do so before the start that sent for it has its answer. */
  const hungUp = new Set<string>()
  /** What agents said of the end of their calls, where it was heard, by room. */
  const lastWords = new Map<string, string>()
  let restarts = 0
  let step = 0

  const holds = (invariant: string, held: boolean, what: () => string) => { if (!held) throw new Broken(invariant, what()) }
  const show = (row: Row) => `${row.room_name}, ${row.state}${row.end_reason ? ` (${row.end_reason})` : ''}`
  const rows = () => [...sql.rows.values()]

  /** Whoever is at work on the start of this row, alive and within its time; the row is its own until it gives up. */
  function starterOf (row: Row): Start | undefined {
    return starts.find((start) => start.state === 'running' && !start.undoing && now() < start.deadline &&
      (start.id === row.request_id ? row.check_no === 0 || row.end_reason === 'start_failed' : false))
  }

  const tokensCounted = (user?: string) => [...sql.days.values()].filter((day) => user === undefined || day.user_id === user).reduce((sum, day) => sum + day.input_tokens, 0)
  const tokensReported = (which: 'made' | 'taken', user?: string) => rows().filter((row) => row.state === 'ended' && (user === undefined || row.user_id === user))
    .flatMap(({ id }) => [...reported.get(id)?.values() ?? []]).reduce((sum, { [which]: seq }) => sum + (seq < 0 ? 0 : usedUntil(seq).input_tokens), 0)

  return {
    begins (start: Pick<Start, 'id' | 'user' | 'mode' | 'key' | 'replica' | 'deadline'>): Start {
      const begun: Start = { ...start, begunAt: now(), step, restarts, state: 'running', met: new Set(), undoing: false }
      starts.push(begun)
      return begun
    },
    died (replica: 0 | 1) { for (const start of starts) if (start.replica === replica && start.state === 'running') start.state = 'dead' },
    restarts () { restarts++ },
    ends (id: string) { asked.add(id) },
    hasToken: (id: string) => given.has(id),

    /** LiveKit is about to carry out a DeleteRoom. */
    deleting (roomName: string) {
      const row = rows().find((row) => row.room_name === roomName)
      if (!row) return
      holds('no room of a start whose starter lives is deleted', asked.has(row.id) || !starterOf(row), () => show(row))
      holds('no room of a live session is deleted', row.state !== 'live' && row.state !== 'starting', () => show(row))
    },

    /** A token is about to be made. */
    issues ({ ttl }: { ttl: number }) {
      holds('no token is dead when it is given out', ttl > 0, () => `${ttl} s`)
    },

    /** A start was answered with a token. */
    answered (start: Start, session: Session) {
      start.state = 'answered'
      given.add(session.id)
      const row = sql.rows.get(session.id)
      holds('an answer 200 means a row', row !== undefined, () => session.id)
      holds('an answer 200 means a live row', row!.state === 'live' || (row!.end_reason !== null && row!.end_reason !== 'start_failed'), () => show(row!))
      const mayBeGone = row!.state !== 'live' || restarts > start.restarts || hungUp.has(row!.room_name) || now() - start.begunAt > PATIENCE
      holds('an answer 200 means a room', mayBeGone || world.rooms.get(row!.room_name)?.sid === row!.room_sid, () => show(row!))
    },

    /** A start was answered with an error. */
    refused (start: Start, error: { code?: string, message: string }) {
      if (!error.code) throw error // not a refusal: a mistake of ours
      start.state = 'refused'
      const tookLong = now() - start.begunAt >= PATIENCE
      const mine = rows().find((row) => row.request_id === start.id)
      // A statement that was given up may land later: until its lease is over, it counts.
      if (!tookLong && !start.met.has('database') && (!mine || mine.state === 'ended')) start.freeSince = step
      const retried = start.key !== undefined && starts.some((other) => other !== start && other.user === start.user && other.key === start.key)
      const byRule = error.code === 'TOO_MANY_SESSIONS' ||
        (retried && ['IDEMPOTENCY_KEY_REUSED', 'START_IN_PROGRESS', 'STARTED_SESSION_ENDED', 'ENDED_WHILE_STARTING'].includes(error.code)) ||
        (error.code === 'ENDED_WHILE_STARTING' && mine !== undefined && asked.has(mine.id))
      const noAgent = start.mode === 'video' && error.code === 'AGENT_DID_NOT_COME' && !world.hasWorked()
      holds('a start that meets no trouble does not fail', byRule || start.met.size > 0 || tookLong || restarts > start.restarts || noAgent, () => `${error.code}: ${error.message}`)
      const takenOver = retried && mine !== undefined && mine.check_no > 0 && (mine.state === 'starting' || mine.state === 'live')
      holds('a start that gave its user nothing holds nothing', mine === undefined || mine.state === 'ended' || takenOver || asked.has(mine.id) || tookLong || start.met.has('database'), () => show(mine!))
      if (error.code === 'TOO_MANY_SESSIONS') {
        const counted = starts.filter((other) => other !== start && other.user === start.user && !(other.freeSince !== undefined && other.freeSince < start.step))
        holds('a limit is reached by what counts', counted.length >= limits.sessionsPerUser, () => `${counted.length} starts`)
      }
    },

    /** An agent was told that its line is written. */
    written (id: string, seq: number) {
      written.push({ id, seq })
    },

    /** An agent is about to report what it used. @returns to be called when it is answered 200 */
    reports (id: string, { writer, seq }: { writer: string, seq: number }): () => void {
      const processes = reported.get(id) ?? new Map<string, { made: number, taken: number }>()
      const mine = processes.get(writer) ?? { made: -1, taken: -1 }
      reported.set(id, processes.set(writer, mine))
      mine.made = Math.max(mine.made, seq)
      return () => { mine.taken = Math.max(mine.taken, seq) }
    },

    /** A deletion of a transcript was answered 200. */
    forgotten (id: string) {
      forgotten.add(id)
    },

    /** A deletion of a recording was answered 200. */
    recordingDeleted (id: string) {
      unrecorded.add(id)
    },

    /** A user got the key of an ingress. */
    ingressMade (id: string, key: string) {
      const before = streamKeys.get(id) ?? []
      const one = before.find((other) => !deadKeys.has(other) && world.ingresses.some(({ id }) => id === other))
      holds('never two ingresses of a session', one === undefined, () => `${one} and ${key}`)
      streamKeys.set(id, [...before, key])
    },
    keysOf: (id: string) => [...streamKeys.get(id) ?? []],

    /** A deletion of the ingress whose user had these keys was answered 200. */
    ingressDeleted (keys: string[]) {
      for (const key of keys) {
        deadKeys.add(key)
        holds('an ingress that was deleted is gone', world.ingresses.every(({ id }) => id !== key), () => key)
      }
    },

    /** An agent is about to end its call. */
    hangsUp (roomName: string) { hungUp.add(roomName) },

    /** A webhook was taken. */
    heard ({ roomName, participant }: LiveKitEvent) {
      const word = participant?.attributes['session.end']
      if (word) lastWords.set(roomName, word)
    },

    /** An end was answered 200. */
    ended (id: string) {
      confirmed.add(id)
      const row = sql.rows.get(id)!
      holds('an end that was confirmed is one', row.state === 'ending' || row.state === 'ended', () => show(row))
    },

    /** The app's backend got a message. */
    received (id: string) {
      const message = sql.messages.find((message) => message.message_id === id)
      holds('nothing is sent that was not committed', message !== undefined && sql.events.some((event) => event.session_id === message.session_id && event.type === message.type), () => id)
      const before = sql.messages.slice(0, sql.messages.indexOf(message!)).filter(({ session_id: session }) => session === message!.session_id)
      holds('the messages of a session come in its order', before.every((earlier) => received.has(earlier.message_id)), () => `${message!.type} of ${message!.session_id}`)
      received.add(id)
    },

    /** After every step. */
    always () {
      step++
      const counts = new Map<string, number>()
      const keys = new Set<string>()
      for (const row of rows()) {
        if (row.state !== 'ended') counts.set(row.user_id, (counts.get(row.user_id) ?? 0) + 1)
        holds('ended is final', !seenEnded.has(row.id) || row.state === 'ended', () => show(row))
        if (row.state === 'ended') seenEnded.add(row.id)
        const lines = sql.said.get(row.id)?.length ?? 0
        if (row.transcript === 'ready') {
          holds('a transcript is ready after the end', row.state === 'ended', () => show(row))
          holds('a transcript that is ready does not change', (ready.get(row.id) ?? lines) === lines, () => `${show(row)}: ${lines} lines`)
          ready.set(row.id, lines)
        }
        holds('of a transcript that was deleted nothing is left, and nothing comes', !forgotten.has(row.id) || lines === 0, () => `${show(row)}: ${lines} lines`)
        holds('a transcript that was ready is not written again', !ready.has(row.id) || row.transcript !== 'writing', () => show(row))
        const before = recorded.get(row.id)
        holds('a recording that is over is not begun again', before === undefined || row.recording === before || row.recording === 'deleted', () => `${show(row)}: ${before} and ${row.recording}`)
        if (row.recording === 'ready' || row.recording === 'failed' || row.recording === 'deleted') recorded.set(row.id, row.recording)
        holds('a recording that was deleted stays so', !unrecorded.has(row.id) || row.recording === 'deleted', () => show(row))
        holds('a recording that is ready has its file', row.recording !== 'ready' || world.objects.has(row.recording_file!), () => show(row))
        holds('what is over says when', (row.state === 'ended') === (row.ended_at !== null), () => show(row))
        holds('what is over says why', (row.state === 'ending' || row.state === 'ended') === (row.end_reason !== null), () => show(row))
        holds('the dispatches of an episode are bounded', row.episode_dispatches <= limits.maxDispatches, () => `${row.episode_dispatches}`)
        const isAgentKnown = sql.staysOf(row.id).some((stay) => stay.kind === 'AGENT' && !stay.left_at)
        holds('an agent that is known to be there has joined', row.state === 'ended' || !isAgentKnown || row.agent_state === 'joined', () => `${show(row)}: agent ${row.agent_state}`)
        holds('nobody stays in a session that is over', row.state !== 'ended' || sql.staysOf(row.id).every((stay) => stay.left_at), () => show(row))
        if (!row.idempotency_key || row.end_reason === 'start_failed') continue
        const key = `${row.user_id} ${row.idempotency_key}`
        holds('one key, one session', !keys.has(key), () => key)
        keys.add(key)
      }
      holds('nothing is counted that was not reported, and nothing twice', tokensCounted() <= tokensReported('made'), () => `${tokensCounted()} of ${tokensReported('made')}`)
      for (const [user, count] of counts) holds('no user has more than the limit', count <= limits.sessionsPerUser, () => `${user}: ${count}`)
    },

    /** While all is at rest since a time, with a look a second. */
    soon (since: number) {
      for (const row of rows()) {
        // A look that was cut off, by the end of its process or of its connection, holds its row until its lease is over.
        if (row.lease > now()) held.set(row.id, row.lease)
        const due = Math.max(row.expires_at.getTime(), since, held.get(row.id) ?? 0)
        holds('a session is over at its maximum duration', row.state !== 'live' || now() - due < OVERTIME, () => `${show(row)}: ${now() - due} ms ago`)
      }
      for (const [name, room] of world.rooms) {
        const row = rows().find((row) => row.room_name === name)
        const shown = Math.max(room.hiddenUntil, since, held.get(row?.id ?? '') ?? 0)
        holds('whoever is known to have come in after the end is soon out', row?.state !== 'ended' || !row.revived_at || now() - shown < SOON, () => `${show(row!)}: there for ${now() - shown} ms`)
      }
    },

    /** When all is quiet. */
    atRest () {
      for (const row of rows()) {
        holds('nothing is stuck', row.state === 'live' || row.state === 'ended', () => show(row))
        holds('no live row without its room', row.state !== 'live' || world.rooms.get(row.room_name)?.sid === row.room_sid, () => show(row))
        holds('what was said to be over is over', !confirmed.has(row.id) || row.state === 'ended', () => show(row))
        const word = lastWords.get(row.room_name)
        const byOthers = !['agent', 'idle', 'lost'].includes(row.end_reason ?? '')
        holds('a call that its agent ended is over for the reason that the agent gave', !word || (byOthers && row.state === 'ended') || row.end_reason === word, () => `${show(row)}: ${word}`)
        const ends = sql.events.filter((event) => event.session_id === row.id && event.type === 'session.ended').length
        const messages = sql.messages.filter((message) => message.session_id === row.id)
        const types = messages.map(({ type }) => type)
        const started = row.room_sid !== null
        holds('a start is told of once, and first', started ? types.indexOf('session.started') === 0 && types.lastIndexOf('session.started') === 0 : types.length === 0, () => `${show(row)}: ${types}`)
        const life = types.filter((type) => type !== 'transcript.ready' && type !== 'recording.ready')
        holds('an end is told of once, and last', !started || (row.state === 'ended' ? life.indexOf('session.ended') === life.length - 1 : !life.includes('session.ended')), () => `${show(row)}: ${types}`)
        const [transcripts, recordings] = ['transcript.ready', 'recording.ready'].map((type) => types.filter((told) => told === type).length)
        holds('a transcript that is ready is told of once, after the end', !started || (ready.has(row.id) ? transcripts === 1 && types.indexOf('transcript.ready') > types.indexOf('session.ended') : transcripts === 0), () => `${show(row)}: ${types}`)
        holds('a recording that is ready is told of once', row.recording === 'deleted' || recordings === (row.recording === 'ready' ? 1 : 0), () => `${show(row)}: ${types}`)
        const ways = world.ingresses.filter(({ roomName }) => roomName === row.room_name)
        holds('no ingress outlives its session', row.state === 'live' || ways.length === 0, () => show(row))
        holds('what is told of an ingress is so', row.ingress === null ? ways.length === 0 : row.ingress === 'ready' && ways.length === 1 && ways[0]!.id === row.ingress_id, () => `${show(row)}: ${row.ingress}, ${ways.length} there`)
        holds('of what is over nothing is looked for', row.state === 'live' || row.ingress_check_at === null, () => show(row))
        const recorders = world.recorders.filter(({ roomName, status }) => roomName === row.room_name && status === 'running').length
        holds('no recording outlives its session', row.state === 'live' || recorders === 0, () => show(row))
        holds('whatever an egress told and nobody heard is known', row.state === 'live' ? row.recording !== 'pending' : row.recording !== 'pending' && row.recording !== 'recording', () => `${show(row)}: ${row.recording}`)
        holds('a session is recorded once, while it says so', recorders === (row.recording === 'recording' ? 1 : 0), () => `${show(row)}: ${row.recording}, ${recorders} at work`)
        holds('of a recording that nobody can have no file is left', (row.recording !== 'deleted' && row.recording !== 'failed') || !world.objects.has(row.recording_file!), () => show(row))
        holds('what is over has its transcript', row.state !== 'ended' || row.transcript !== 'writing', () => show(row))
        holds('of a deleted transcript nothing is left', row.transcript !== 'deleted' || !sql.said.has(row.id), () => show(row))
        for (const { id, seq } of written) holds('what an agent was told is written is', id !== row.id || row.transcript === 'deleted' || sql.said.get(id)!.some((line) => line.seq === seq), () => `${show(row)}: line ${seq}`)
        holds('an agent that is there has been told of', !started || row.state !== 'live' || row.agent_state !== 'joined' || types.includes('agent.joined'), () => `${show(row)}: ${types}`)
        holds('no message is lost', messages.every((message) => received.has(message.message_id)), () => `${show(row)}: ${messages.filter((message) => !received.has(message.message_id)).map(({ type }) => type)}`)
        holds('an end is on record once', ends === (row.state === 'ended' ? 1 : 0), () => `${show(row)}: ${ends} times`)
      }
      for (const user of new Set(rows().map((row) => row.user_id))) {
        const over = rows().filter((row) => row.user_id === user && row.state === 'ended')
        const counted = [...sql.days.values()].filter((day) => day.user_id === user)
        const sum = (of: (day: (typeof counted)[number]) => number) => counted.reduce((sum, day) => sum + of(day), 0)
        holds('what was reported is counted', tokensCounted(user) >= tokensReported('taken', user), () => `${user}: ${tokensCounted(user)} of ${tokensReported('taken', user)}`)
        const connected = over.reduce((sum, row) => sum + sql.usedBy(row, row.ended_at!).user_ms, 0)
        holds('the days have each second of connection once', sum((day) => day.user_ms) === connected, () => `${user}: ${sum((day) => day.user_ms)} of ${connected}`)
        holds('each session that is over is in its day once', sum((day) => day.sessions) === over.filter((row) => row.end_reason !== 'start_failed' || Object.values(sql.usedBy(row, row.ended_at!)).some((value) => value > 0)).length, () => user)
      }
      for (const [name, room] of world.rooms) {
        const row = rows().find((row) => row.room_name === name)
        holds('no room without its live row', row?.state === 'live', () => row ? show(row) : name)
        const agents = world.agents(room).length
        const isAttended = world.users(room).length > 0 || world.streams(room).length === 0
        const mayStillCome = !sql.staysOf(row!.id).some(({ kind }) => kind === 'STANDARD') && now() < row!.created_at.getTime() + 330_000
        holds('a stream keeps no session alive', isAttended || mayStillCome, () => show(row!))
        holds('no stream stays without its ingress', world.streams(room).length === 0 || row!.ingress === 'ready', () => show(row!))
        holds('two agents never stay', agents <= 1, () => `${show(row!)}: ${agents}`)
        holds('no user is left without an agent', world.users(room).length === 0 || agents === 1 || row!.agent_state === 'failed', () => `${show(row!)}: agent ${row!.agent_state}`)
        holds('an agent that is there is known to be', agents === 0 || row!.agent_state === 'joined', () => `${show(row!)}: agent ${row!.agent_state}`)
      }
    }
  }
}
