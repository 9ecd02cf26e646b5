// What is known of a user: given out, or gone, at the user's own wish or an administrator's.
import { createHash } from 'node:crypto'
import type { Audit } from './audit.ts'
import type { Call } from './caller.ts'
import type { Clock } from './clock.ts'
import { TranscriptUnreadable } from './errors.ts'
import { endBy, type Lifecycle } from './lifecycle.ts'
import type { Log } from './log.ts'
import { toRecord } from './record.ts'
import type { Recordings } from './recordings.ts'
import type { Session, SessionEvent } from './store.ts'
import type { Transcripts } from './transcripts.ts'

type Page<Row> = (userId: string, after: string | undefined, limit: number) => Promise<Array<Row & { id: string }>>

export interface PrivacyStore {
  openOf: (userId: string, deadline?: number) => Promise<Session[]>
  /** Each in the order of its ids, those after `after`. */
  sessionsOf: Page<Session & { participants: unknown[], used: unknown[] }>
  eventsOf: Page<object>
  /** What the user did to what is somebody else's. */
  actsOf: Page<object>
  messagesOf: Page<object>
  /** What was used, by days. */
  usageOf: Page<object>
  /** Notes that all of a user from until `before` is to go; `event` is on record with it. */
  begin: (userId: string, before: Date, event: SessionEvent, deadline?: number) => Promise<void>
  begun: () => Promise<Array<{ user_id: string, before: Date }>>
  /** Deletes or makes anonymous up to `limit` rows of each kind that may go now; says how many there were. */
  eraseSome: (userId: string, before: Date, limit: number, deadline?: number) => Promise<number>
  /** Forgets the wish when nothing is left. */
  finish: (userId: string, before: Date, deadline?: number) => Promise<boolean>
}

export interface PrivacyDependencies { store: PrivacyStore, lifecycle: Pick<Lifecycle, 'close'>, transcripts: Pick<Transcripts, 'wholeOf'>, recordings: Pick<Recordings, 'linkTo'>, audit: Audit, clock: Clock, log: Log }

const BATCH = 500

export function createPrivacy ({ store, lifecycle, transcripts, recordings, audit, clock, log }: PrivacyDependencies) {
  /** @throws AdminOnly when it is about somebody else; that is on record */
  async function mayFor (call: Call, userId: string, operation: string): Promise<void> {
    if (call.user.id !== userId) await audit.onlyAdmin(call, operation)
  }

  async function erase (userId: string, before: Date, deadline = Infinity): Promise<boolean> {
    try {
      while (await store.eraseSome(userId, before, BATCH, deadline) > 0);
      return await store.finish(userId, before, deadline)
    } catch (error) {
      if (clock.elapsed() < deadline) throw error
      return false // a later sweep goes on
    }
  }

  /** All rows of one kind, a page at a time. */
  async function * all<Row> (page: Page<Row>, userId: string, show: (row: Row & { id: string }) => object = (row) => row) {
    let after: string | undefined
    do {
      const rows = await page(userId, after, BATCH)
      for (const row of rows) yield show(row)
      after = rows.length === BATCH ? rows.at(-1)!.id : undefined
    } while (after !== undefined)
  }

  /** What was said, session by session; null where the key is gone. */
  async function * said (userId: string) {
    for await (const session of all(store.sessionsOf, userId) as AsyncIterable<Session>) {
      if (session.transcript === null || session.transcript === 'deleted') continue
      const whole = await transcripts.wholeOf(session).catch((error: unknown) => {
        if (error instanceof TranscriptUnreadable) return { lines: null, summary: null }
        throw error
      })
      yield { session_id: session.id, ...whole }
    }
  }

  /** Where the recordings can be had, for some minutes from when each is read. */
  async function * recorded (userId: string) {
    for await (const session of all(store.sessionsOf, userId) as AsyncIterable<Session>) {
      const url = await recordings.linkTo(session)
      if (url) yield { session_id: session.id, url }
    }
  }

  return {
    /**
     * Everything that is stored of a user, kind by kind, read as it is taken.
     * @throws AdminOnly
     */
    async export (call: Call, userId: string): Promise<Record<string, AsyncIterable<object>>> {
      await mayFor(call, userId, 'exportUserData')
      if (call.user.id !== userId) await audit.read(call, undefined, { operation: 'exportUserData', user: userId })
      return {
        sessions: all(store.sessionsOf, userId, ({ participants, used, ...session }) => ({ ...toRecord(session), participants, used })),
        events: all(store.eventsOf, userId),
        acts: all(store.actsOf, userId),
        messages: all(store.messagesOf, userId),
        usage: all(store.usageOf, userId, ({ id: _id, ...day }) => day),
        transcripts: said(userId),
        recordings: recorded(userId)
      }
    },

    /**
     * Ends what is live of a user, and deletes what was until now, what was said first of all. What cannot go yet goes with a later `sweep`: files of recordings, sessions whose room could
     * come back, and those of which a message is on its way.
     * @returns whether all of it is gone
     * @throws AdminOnly, and what the end of a session throws
     */
    async erase (call: Call, userId: string): Promise<{ status: 'erased' | 'erasing' }> {
      await mayFor(call, userId, 'eraseUserData')
      const isOwn = call.user.id === userId
      for (const session of await store.openOf(userId, call.deadline)) {
        await lifecycle.close(session, endBy(call, session), call.deadline)
      }
      const before = new Date(clock.now())
      // Who asks whether somebody was deleted has the id, and can find the line by it; the line alone names nobody.
      const subject = createHash('sha256').update(userId).digest('hex')
      await store.begin(userId, before, { session_id: null, user_id: null, at: before, type: 'user.erased', actor: isOwn ? 'user:erased' : `admin:${call.user.id}`, data: { subject } }, call.deadline)
      const isDone = await erase(userId, before, call.deadline)
      call.log.info({ by: isOwn ? 'user' : 'admin', isDone }, 'user data erased')
      return { status: isDone ? 'erased' : 'erasing' }
    },

    /** Goes on with what could not go yet. */
    async sweep (): Promise<void> {
      for (const { user_id: userId, before } of await store.begun()) {
        if (await erase(userId, before)) log.info({}, 'the rest of a user\'s data erased')
      }
    }
  }
}

export type Privacy = ReturnType<typeof createPrivacy>
