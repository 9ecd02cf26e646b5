// What was, and who did what: sessions past and present, for their owners and for administrators (D7).
import type { Audit } from './audit.ts'
import type { Call } from './caller.ts'
import { cursorOf, readCursor } from './cursor.ts'
import { BadCursor, SessionNotFound } from './errors.ts'
import { endBy, type Lifecycle } from './lifecycle.ts'
import { toRecord } from './record.ts'
import type { Recordings } from './recordings.ts'
import type { Session, SessionStore } from './store.ts'
import type { Usage } from './usage.ts'
import type { ModeName, State } from './vocabulary.ts'

export interface HistoryQuery { limit?: string, cursor?: string, mode?: ModeName, state?: State, from?: string, to?: string, user_id?: string }

export interface HistoryDependencies { store: SessionStore, lifecycle: Lifecycle, recordings: Pick<Recordings, 'linkTo'>, usage: Pick<Usage, 'of'>, audit: Audit }

/** Events on a page. */
const EVENTS = 1000

export function createHistory ({ store, lifecycle, recordings, usage, audit }: HistoryDependencies) {
  return {
    /**
     * A page of sessions, newest first. Users see their own; administrators everybody's, or those of `user_id`.
     * @throws AdminOnly when a user asks for somebody else's, BadCursor
     */
    async list (call: Call, query: HistoryQuery) {
      const limit = Number(query.limit ?? 20)
      if (query.user_id !== undefined && query.user_id !== call.user.id) await audit.onlyAdmin(call, 'listSessions')
      if (call.user.admin && query.user_id !== call.user.id) await audit.read(call, undefined, { operation: 'listSessions', ...(query.user_id && { user: query.user_id }) })
      const sessions = await store.history({
        userId: query.user_id ?? (call.user.admin ? undefined : call.user.id),
        mode: query.mode,
        state: query.state,
        from: query.from ? new Date(query.from) : undefined,
        to: query.to ? new Date(query.to) : undefined,
        after: query.cursor ? readPageCursor(query.cursor) : undefined,
        limit: limit + 1
      }, call.deadline)
      const page = sessions.slice(0, limit)
      return { sessions: page.map(toRecord), next_cursor: sessions.length > limit ? pageCursorOf(page.at(-1)!) : null }
    },

    /**
     * A session, what it used, and a page of its events, oldest first: the latest ones, or those before `cursor`. The link to its
     * recording is for its user alone: administrators ask for the recordings.
     * @throws BadCursor
     */
    async get (call: Call, id: string, cursor?: string) {
      const session = await audit.findToRead(call, id, 'getSession')
      const before = cursor ? readCursor(cursor) : undefined
      const [events, used] = await Promise.all([store.eventsOf(id, { before, limit: EVENTS + 1 }, call.deadline), usage.of(session, call.deadline)])
      const page = events.slice(-EVENTS)
      const record = toRecord(session)
      if (record.recording && session.user_id === call.user.id) record.recording.url = await recordings.linkTo(session)
      return { ...record, usage: used, events: page, events_cursor: events.length > EVENTS ? cursorOf(page[0]!.id) : null }
    },

    /** Ends one's own session by id, or as an administrator anybody's. */
    async end (call: Call, id: string) {
      const session = await audit.find(call, id, 'endSession')
      if (session.state === 'ended') throw new SessionNotFound()
      await lifecycle.close(session, endBy(call, session), call.deadline)
      call.log.info({ roomName: session.room_name, userId: session.user_id, by: call.user.id }, 'session ended by its id')
      return { status: 'ended' as const, id }
    }
  }
}

export type History = ReturnType<typeof createHistory>

/** Where a page ended: it says nothing but a place in the caller's own list, so it needs no signature. */
function pageCursorOf (session: Session): string {
  return Buffer.from(`${session.created_at.getTime().toString(36)}.${session.id}`).toString('base64url')
}

function readPageCursor (cursor: string): { created_at: Date, id: string } {
  const [, time, id] = /^([0-9a-z]{1,9})\.([0-9a-f-]{36})$/.exec(Buffer.from(cursor, 'base64url').toString()) ?? []
  const at = new Date(parseInt(time ?? '', 36))
  if (!id || Number.isNaN(at.getTime()) || !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) throw new BadCursor()
  return { created_at: at, id }
}
