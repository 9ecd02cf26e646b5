// What was said in a session: written by its agents while it goes on, made ready after the end, read and deleted by its owner.
import type { Audit } from './audit.ts'
import type { Call } from './caller.ts'
import type { Clock } from './clock.ts'
import { TranscriptClosed, TranscriptFull, TranscriptNotFound, TranscriptUnreadable } from './errors.ts'
import type { Log } from './log.ts'
import { createLoop } from './loop.ts'
import type { Session, SessionEvent } from './store.ts'
import { toText, toVtt } from './transcript-formats.ts'
import type { Sealed, TranscriptKeys } from './transcript-keys.ts'
import type { Speaker, Written } from './vocabulary.ts'

/** A line as it is read. */
export interface Line {
  /** When its first word was said, and its last. */
  at: Date
  until: Date
  by: Speaker
  /** What was said; of a tool, its name. */
  text: string
}

/** A line as an agent hands it over. */
export interface WrittenLine {
  /** Its number among this writer's. */
  seq: number
  /** A line grows while it is spoken: a higher revision takes the place of a lower one. */
  revision: number
  /** RFC 3339. */
  at: string
  until: string
  /** Whose it is; `summary` is about all of them. */
  by: Written
  text: string
}

export interface Batch {
  /** A UUID of the agent's process: the one that replaces it has another. */
  writer: string
  lines: WrittenLine[]
  /** Nothing more comes of this writer. */
  done?: boolean
}

export type SealedLine = Sealed & { writer: string, seq: number, revision: number, at: Date }

export interface TranscriptStore {
  /**
   * Writes lines, once each however often they come, while the transcript is written and its session has not ended before `endedAfter`.
   * With no line it says that this writer is at work.
   */
  append: (sessionId: string, batch: { writer: string, done: boolean, lines: SealedLine[] }, endedAfter: Date, deadline?: number) => Promise<'written' | 'closed' | 'full'>
  /** All lines of a session in the order in which they were said. */
  linesOf: (sessionId: string, deadline?: number) => Promise<SealedLine[]>
  /** Sessions that are over and whose transcript could be ready: all their writers are done, or they ended at `endedUntil` or before. */
  due: (endedUntil: Date, limit: number) => Promise<string[]>
  /** writing -> ready under the same condition, with its line of the history and its messages to the app's backend. */
  makeReady: (id: string, endedUntil: Date, now: Date) => Promise<boolean>
  /** writing, ready -> deleted, with `event` on record, and its lines gone; again for one that is deleted already. */
  remove: (id: string, event: SessionEvent, deadline?: number) => Promise<void>
  /** Deletes up to `limit` lines of transcripts that are deleted: a process that was killed between the two left them. */
  removeLeft: (limit: number) => Promise<number>
}

export interface TranscriptsDependencies {
  store: TranscriptStore
  /** Undefined where none are configured: then nothing is written and nothing can be read. */
  keys: TranscriptKeys | undefined
  audit: Audit
  clock: Clock
  log: Log
}

/** How long after the end lines are waited for of a writer that has not said that it is done, ms: it was killed, or cannot reach the service. */
const PATIENCE = 60_000
const EVERY = 2000 // ms
const BATCH = 100

export function createTranscripts ({ store, keys, audit, clock, log }: TranscriptsDependencies) {
  const patienceIsOver = () => new Date(clock.now() - PATIENCE)

  function open (session: Session, line: SealedLine): Omit<Line, 'by'> & { by: Written } {
    if (!keys) throw new TranscriptUnreadable({ cause: new Error('there are no TRANSCRIPT_KEYS') })
    const { until, by, text } = JSON.parse(keys.open(session.id, placeOf(line), line)) as Pick<WrittenLine, 'until' | 'by' | 'text'>
    return { at: line.at, until: new Date(until), by, text }
  }

  /** What was said, and what the agents made of it at the end: each that was there one part. */
  async function wholeOf (session: Session, deadline?: number): Promise<{ lines: Line[], summary: string | null }> {
    const written = (await store.linesOf(session.id, deadline)).map((line) => open(session, line))
    const isLine = (line: typeof written[number]): line is Line => line.by !== 'summary'
    return { lines: written.filter(isLine), summary: written.filter((line) => !isLine(line)).map(({ text }) => text).join('\n\n') || null }
  }

  /** Makes ready what can be. */
  async function settle (): Promise<void> {
    for (const id of await store.due(patienceIsOver(), BATCH)) await makeReady(id)
  }

  async function makeReady (id: string): Promise<void> {
    if (await store.makeReady(id, patienceIsOver(), new Date(clock.now()))) log.info({ sessionId: id }, 'transcript ready')
  }

  return {
    wholeOf,
    settle,

    /**
     * Takes lines from an agent: any number of times, in any order, from an agent and from the one that replaced it.
     * @param id the session, as its agent's token says
     * @throws TranscriptClosed, also when the session has none; TranscriptFull
     */
    async write (id: string, { writer, lines, done = false }: Batch, deadline?: number): Promise<{ status: 'written' }> {
      if (!keys) throw new TranscriptClosed()
      const latest = new Map<number, SealedLine>()
      for (const { seq, revision, at, until, by, text } of lines) {
        if ((latest.get(seq)?.revision ?? -1) >= revision) continue
        latest.set(seq, { writer, seq, revision, at: new Date(at), ...keys.seal(id, placeOf({ writer, seq, revision }), JSON.stringify({ until, by, text })) })
      }
      const outcome = await store.append(id, { writer, done, lines: [...latest.values()] }, patienceIsOver(), deadline)
      if (outcome === 'closed') throw new TranscriptClosed()
      if (outcome === 'full') throw new TranscriptFull()
      if (done) await makeReady(id) // when its session is over; else `settle` does so after the end
      return { status: 'written' }
    },

    /**
     * What was said so far, or all of it, in its order; as captions or text, a string. For the owner, and for administrators, who are on record.
     * @throws SessionNotFound, NotYourSession, TranscriptNotFound, TranscriptUnreadable
     */
    async read (call: Call, id: string, form: 'application/json' | 'text/vtt' | 'text/plain') {
      const session = await audit.findToRead(call, id, 'getTranscript')
      const { transcript: state } = session
      if (state === null || state === 'deleted') throw new TranscriptNotFound()
      const transcript = { session_id: id, state, began_at: session.created_at, ...await wholeOf(session, call.deadline) }
      return form === 'text/vtt' ? toVtt(transcript) : form === 'text/plain' ? toText(transcript) : transcript
    },

    /**
     * Deletes what was said in one's own session; what an agent hands over later is not taken.
     * @throws SessionNotFound, NotYourSession, TranscriptNotFound
     */
    async remove (call: Call, id: string) {
      const session = await audit.find(call, id, 'deleteTranscript')
      if (session.user_id !== call.user.id) return audit.notYours(call, session, 'deleteTranscript')
      if (session.transcript === null) throw new TranscriptNotFound()
      await store.remove(id, { session_id: id, user_id: session.user_id, at: new Date(clock.now()), type: 'transcript.deleted', actor: `user:${call.user.id}`, data: {} }, call.deadline)
      call.log.info({ sessionId: id, userId: call.user.id }, 'transcript deleted')
      return { status: 'deleted' as const, session_id: id }
    },

    /** Finishes deletions that were cut off. */
    async sweep (): Promise<void> {
      while (await store.removeLeft(BATCH) === BATCH);
    },

    /** Makes ready what can be. */
    ...createLoop(EVERY, settle, (err) => log.error({ err }, 'transcripts could not be seen to'))
  }
}

export type Transcripts = ReturnType<typeof createTranscripts>

/** What a sealed line is bound to: moved to another place, or put in place of another revision, it does not open. */
const placeOf = ({ writer, seq, revision }: Pick<SealedLine, 'writer' | 'seq' | 'revision'>) => `${writer}/${seq}/${revision}`
