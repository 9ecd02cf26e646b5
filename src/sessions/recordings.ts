// The recording of a session: asked of LiveKit Egress once the session is live, followed until its file is there, deleted with it. The call never waits for it.
import type { Audit } from './audit.ts'
import type { Call } from './caller.ts'
import type { Clock } from './clock.ts'
import { RecordingNotFound } from './errors.ts'
import { endBy } from './lifecycle.ts'
import type { Log } from './log.ts'
import { createLoop } from './loop.ts'
import { noMetrics, type SessionMetrics } from './metrics.ts'
import { recordingOf } from './record.ts'
import type { EgressReport, LiveKitEvent } from './rooms.ts'
import type { Change, Session, SessionStore } from './store.ts'

/** The calls to LiveKit Egress: apart from those to rooms, so that an egress that is away or slow holds up none of these. */
export interface Egress {
  /** Asks for a recording of the room into an object. Never repeated by itself: each call that LiveKit got makes one. Takes 10 s at most. */
  start: (recording: { roomName: string, file: string, audioOnly: boolean }) => Promise<EgressReport>
  /** All of a room, those of others too; of the last day at the least. */
  list: (roomName: string) => Promise<EgressReport[]>
  /** One that is over, or not known, is stopped. */
  stop: (id: string) => Promise<void>
}

/** Where the files are. */
export interface RecordingFiles {
  /** An address at which the file can be had for some minutes, by whoever has it. */
  link: (file: string) => Promise<string>
  /** One that is not there is deleted. */
  remove: (file: string) => Promise<void>
}

/** A file that nobody can have any more: its recording failed, or was deleted, or its session was. */
export interface LeftFile { file: string, room_name: string, attempts: number }

export interface RecordingStore {
  /** Takes up to `limit` sessions whose recording is due, for whoever asks; due again at `leaseUntil`. */
  due: (now: Date, leaseUntil: Date, limit: number) => Promise<Session[]>
  /** The same for files that are to be deleted; `attempts` counts this one. */
  leftDue: (now: Date, leaseUntil: Date, limit: number) => Promise<LeftFile[]>
  putOff: (file: string, until: Date) => Promise<void>
  /** The file is gone. */
  forget: (file: string) => Promise<void>
}

export interface RecordingsDependencies {
  store: RecordingStore
  sessions: Pick<SessionStore, 'change'>
  egress: Egress
  /** Whether there may be any. */
  isOn: boolean
  /** Undefined where no storage is configured: then there are no links, and nothing is deleted. */
  files: RecordingFiles | undefined
  audit: Audit
  clock: Clock
  log: Log
  metrics?: SessionMetrics
}

const EVERY = 1000 // ms
/** Recordings seen to at once: so many calls of one replica wait for an egress that is slow. */
const IN_FLIGHT = 8
/** Longer than a look may take: one list and one start, ms. */
const LEASE = 30_000
/** How often a recording is asked for before it is given up; the pauses are 2, 4, 8 and 16 s. */
const ASKS = 5
/** Looks that make up for a lost webhook, while the call goes on and once it is over, ms. */
const LOOK = 30_000
const LOOK_AFTER_END = 5000
/** An egress ends with its room. One that has not after this long is told to stop, ms. */
const ENDS_BY_ITSELF = 10_000
/** How long after the end a file is waited for, ms: a long video takes its time. And while LiveKit cannot be asked about it. */
const PATIENCE = 900_000
const PATIENCE_UNASKED = 86_400_000
/** Pauses between the attempts to delete a file, ms: 2 s, twice as long each time. After so many an egress that LiveKit lists as running is taken for dead, and one that cannot be asked about for none. */
const LONGEST_PAUSE = 600_000
const STOPS = 10
/** The attempt, a minute after the first one, at which a file that nobody writes is forgotten: what LiveKit was being asked to record when it was deleted has shown by then, whoever asked. */
const SURE = 6

export function createRecordings ({ store, sessions, egress, isOn, files, audit, clock, log, metrics = noMetrics }: RecordingsDependencies) {
  const later = (ms: number) => new Date(clock.now() + ms)
  const backoff = (attempt: number) => Math.min(1000 * 2 ** attempt, LONGEST_PAUSE)
  const fields = (session: Session) => ({ roomName: session.room_name, userId: session.user_id, sessionId: session.id })

  /** Writes what `decide` makes of the row as it is now, and tells of what it came to. */
  async function change (roomName: string, decide: (session: Session) => Change | undefined): Promise<Session | undefined> {
    let before: Session | undefined
    let told: Change | undefined
    const after = await sessions.change({ room_name: roomName }, (session) => {
      before = session
      told = decide(session)
      return told
    })
    if (!after || after.recording === before?.recording) return after
    metrics.recorded(after)
    const [event] = told?.events ?? []
    if (after.recording === 'failed') log.error({ ...fields(after), egress: after.recording_egress, reason: event?.data.reason }, 'recording failed')
    else if (after.recording === 'recording' || after.recording === 'ready') log.info({ ...fields(after), egress: after.recording_egress }, `recording ${after.recording === 'ready' ? 'ready' : 'started'}`)
    return after
  }

  function failed (session: Session, reason: string): Change | undefined {
    if (!isOpen(session)) return undefined
    return {
      session: { recording: 'failed', recording_check_at: null },
      events: [{ at: later(0), type: 'recording.failed', actor: 'service', data: { reason } }]
    }
  }

  /** What a report changes; the same reports in any order, doubled or not, end in the same record. */
  function hear (session: Session, report: EgressReport): Change | undefined {
    if (!isOpen(session) || report.file !== session.recording_file) return undefined
    if (session.recording_egress !== null && session.recording_egress !== report.id) return undefined
    const { id, status, startedAt, endedAt } = report
    const isKnown = session.recording_egress === id
    const event = (type: 'recording.started' | 'recording.ready', at: Date | null) => ({ at: at ?? later(0), type, actor: 'livekit', data: {} })
    switch (status) {
      case 'starting':
        return isKnown ? undefined : { session: { recording_egress: id, recording_check_at: later(LOOK) } }
      case 'running':
        if (session.recording === 'recording') return undefined
        return {
          session: { recording: 'recording', recording_egress: id, recording_started_at: startedAt ?? later(0), recording_check_at: later(LOOK) },
          events: [event('recording.started', startedAt)]
        }
      case 'complete':
        return {
          session: { recording: 'ready', recording_egress: id, recording_started_at: startedAt ?? session.recording_started_at, recording_ended_at: endedAt ?? later(0), recording_check_at: null },
          events: [event('recording.ready', endedAt)]
        }
      case 'failed':
        if (session.recording === 'recording') return failed(session, report.error || 'egress failed')
        // It never began: another is asked for, as long as there is something to record.
        return isKnown ? { session: { recording_egress: null, recording_check_at: later(backoff(session.recording_asks)) } } : undefined
    }
  }

  /** One look at a recording that is due: what LiveKit tells of it, and what there is to do. */
  async function see (session: Session): Promise<unknown> {
    const lookAgain = (ms: number) => change(session.room_name, (row) => isOpen(row) ? { session: { recording_check_at: later(ms) } } : undefined)
    if (session.state === 'starting') return lookAgain(EVERY)
    const isOver = session.state === 'ending' || session.state === 'ended'
    let known: EgressReport[] = []
    if (session.recording_asks > 0) {
      try {
        known = (await egress.list(session.room_name)).filter(({ file }) => file === session.recording_file)
      } catch (err) {
        return notKnown(session, err)
      }
    }
    const running = known.filter(isRunning).sort((a, b) => (a.startedAt?.getTime() ?? Infinity) - (b.startedAt?.getTime() ?? Infinity))
    const mine = known.find(({ id }) => id === session.recording_egress) ?? running[0] ?? known.find(({ status }) => status === 'complete')
    // An answer was lost, and it was asked again: the first one stays.
    for (const { id } of running) if (id !== mine?.id) await egress.stop(id)

    if (!mine) {
      if (session.recording === 'recording') return change(session.room_name, (row) => failed(row, 'LiveKit does not know of it any more'))
      if (isOver) return change(session.room_name, (row) => failed(row, 'the session ended before it began'))
      if (session.recording_asks >= ASKS) return change(session.room_name, (row) => failed(row, 'no egress took it'))
      return ask(session)
    }
    const heard = await change(session.room_name, (row) => hear(row, mine))
    if (!heard || !isOpen(heard) || !isRunning(mine)) return
    if (!isOver) {
      if (mine.status === 'running' || session.recording_egress === null) return lookAgain(LOOK)
      return change(session.room_name, (row) => failed(row, 'it did not begin'))
    }
    const overFor = clock.now() - (session.ended_at?.getTime() ?? clock.now())
    if (overFor >= ENDS_BY_ITSELF) await egress.stop(mine.id).catch((err) => log.warn({ err, ...fields(session) }, 'recording could not be stopped'))
    if (overFor >= PATIENCE) return change(session.room_name, (row) => failed(row, 'it did not end'))
    await lookAgain(LOOK_AFTER_END)
  }

  /** LiveKit cannot be asked, or records nothing at all (it has no Redis): before a recording begins that counts as an ask. */
  async function notKnown (session: Session, err: unknown): Promise<unknown> {
    log.warn({ err, ...fields(session) }, 'recording not looked at')
    return change(session.room_name, (row) => {
      const asks = row.recording_asks + 1
      if (row.recording === 'pending' && row.recording_asks === session.recording_asks) {
        return asks > ASKS ? failed(row, 'LiveKit cannot be asked about it') : { session: { recording_asks: asks, recording_check_at: later(backoff(asks)) } }
      }
      if (row.recording === 'recording' && row.ended_at && clock.now() - row.ended_at.getTime() >= PATIENCE_UNASKED) return failed(row, 'LiveKit cannot be asked about it')
      return undefined // due again when the lease is over
    })
  }

  /** Asks for it, claimed in the row first: nobody else does so at the same time. */
  async function ask (session: Session): Promise<void> {
    const number = session.recording_asks + 1
    const isMine = (row: Session) => row.recording === 'pending' && row.recording_asks === number
    const claimed = await change(session.room_name, (row) => row.recording === 'pending' && row.state === 'live' && row.recording_asks === number - 1
      ? { session: { recording_asks: number } }
      : undefined)
    if (!claimed || claimed.recording_asks !== number || claimed.state !== 'live' || claimed.recording !== 'pending') return
    try {
      const report = await egress.start({ roomName: session.room_name, file: session.recording_file!, audioOnly: session.recording_file!.endsWith('.ogg') })
      const row = await change(session.room_name, (row) => {
        if (!isMine(row)) return undefined // a webhook was first
        return { session: { recording_egress: row.recording_egress ?? report.id, recording_check_at: later(LOOK) } }
      })
      // Deleted or given up meanwhile, perhaps with its session.
      if (!row || row.recording === 'deleted' || row.recording === 'failed') await egress.stop(report.id)
    } catch (err) {
      // It may have been done or not: the next look sees, and only then asks again.
      log.warn({ err, ...fields(session), ask: number }, 'recording could not be asked for')
      await change(session.room_name, (row) => isMine(row) ? { session: { recording_check_at: later(backoff(number)) } } : undefined)
    }
  }

  /** Deletes a file for good: whatever still writes it is stopped first. */
  async function remove ({ file, room_name: roomName, attempts }: LeftFile): Promise<void> {
    try {
      const listed = await egress.list(roomName).catch((err) => { if (attempts < STOPS) throw err })
      const writing = (listed ?? []).filter((report) => report.file === file && isRunning(report))
      for (const { id } of writing) await egress.stop(id)
      await files!.remove(file)
      if (attempts < (writing.length > 0 ? STOPS : SURE)) return await store.putOff(file, later(backoff(attempts)))
      await store.forget(file)
      log.info({ roomName }, 'recording deleted')
    } catch (err) {
      log.warn({ err, roomName, attempts }, 'a recording could not be deleted yet')
      await store.putOff(file, later(backoff(attempts)))
    }
  }

  /** Sees to all that is due, until it is stopped. */
  async function settle (stopping?: AbortSignal): Promise<void> {
    for (let due; !stopping?.aborted && (due = await store.due(later(0), later(LEASE), IN_FLIGHT)).length > 0;) {
      await Promise.all(due.map((session) => see(session).catch((err) => log.warn({ err, ...fields(session) }, 'recording not looked at'))))
    }
    if (!files) return
    for (let left; !stopping?.aborted && (left = await store.leftDue(later(0), later(LEASE), IN_FLIGHT)).length > 0;) await Promise.all(left.map(remove))
  }

  /** Where the recording of a session can be had; null as long as it cannot. */
  async function linkTo (session: Session): Promise<string | null> {
    return session.recording === 'ready' && files ? files.link(session.recording_file!) : null
  }

  return {
    settle,
    linkTo,

    /** Warns when sessions are to be recorded, and LiveKit records none: asked once, about no room. */
    async check (): Promise<void> {
      if (isOn) await egress.list('no-room').catch((err) => log.warn({ err }, 'LiveKit records nothing: it has no Redis, or is away'))
    },

    /** Applies a webhook about an egress. */
    async apply ({ egress: report }: LiveKitEvent): Promise<'applied' | 'unknown_room'> {
      return await change(report!.roomName, (session) => hear(session, report!)) ? 'applied' : 'unknown_room'
    },

    /**
     * The recordings of one's own session, or of anybody's for an administrator, who is on record: one, or none. With the link, once there is one.
     * @throws SessionNotFound, NotYourSession
     */
    async list (call: Call, id: string) {
      const session = await audit.findToRead(call, id, 'listRecordings')
      const recording = recordingOf(session)
      return { recordings: recording ? [{ ...recording, url: await linkTo(session) }] : [] }
    },

    /**
     * Deletes a recording of one's own session, or of anybody's for an administrator, also while it is made; the file is gone soon.
     * @throws SessionNotFound, NotYourSession, RecordingNotFound
     */
    async remove (call: Call, id: string, recordingId: string) {
      const session = await audit.find(call, id, 'deleteRecording')
      if (recordingOf(session)?.id !== recordingId) throw new RecordingNotFound()
      await change(session.room_name, (row) => row.recording === 'deleted'
        ? undefined
        : { session: { recording: 'deleted', recording_check_at: null }, events: [{ at: later(0), type: 'recording.deleted', actor: endBy(call, session).by, data: {} }] })
      call.log.info({ sessionId: id, userId: call.user.id }, 'recording to be deleted')
      return { status: 'deleted' as const, id: recordingId }
    },

    /** Sees to all that is due. */
    ...createLoop(EVERY, settle, (err) => log.error({ err }, 'recordings could not be seen to'))
  }
}

export type Recordings = ReturnType<typeof createRecordings>

/** Whether more may come of it. */
function isOpen ({ recording }: Session): boolean {
  return recording === 'pending' || recording === 'recording'
}

function isRunning ({ status }: EgressReport): boolean {
  return status === 'starting' || status === 'running'
}
