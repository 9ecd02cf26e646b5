// What was used: seconds of connection, speech, tokens and tools; of a session, and of a user by days, with what it costs.
import type { Audit } from './audit.ts'
import type { Call } from './caller.ts'
import type { Clock } from './clock.ts'
import { BadCursor, SessionNotFound, UsageFull } from './errors.ts'
import type { Log } from './log.ts'
import { createLoop } from './loop.ts'
import type { Session } from './store.ts'

/** Whole milliseconds, tokens and calls: sums of them are exact. */
export interface Counters {
  /** Connection of users, and of agents. */
  user_ms: number
  agent_ms: number
  /** Speech that was recognised, and that was made. */
  stt_ms: number
  tts_ms: number
  /** Of the language model. */
  input_tokens: number
  output_tokens: number
  tool_calls: number
}

/** What one agent's process has used since it began. */
export interface UsageReport extends Omit<Counters, 'user_ms' | 'agent_ms'> {
  /** A UUID of the process: the one that replaces it has another, and adds. */
  writer: string
  /** A higher one takes the place of a lower one. */
  seq: number
}

/** What a user used in the sessions that were started on a day, UTC, and are over. */
export interface Day extends Counters {
  /** YYYY-MM-DD */
  day: string
  user_id: string
  sessions: number
}

export interface SessionUsage extends Counters {
  /** By identity; the first 100. */
  participants: Array<{ identity: string, kind: string, ms: number }>
}

export interface DaysFilter { userId?: string, /** YYYY-MM-DD, the first day and the one after the last. */ from?: string, to?: string, after?: Pick<Day, 'day' | 'user_id'>, limit: number }

export interface UsageStore {
  /** Takes a report, once however often it comes and in whatever order; of a session that is over, it is counted anew. */
  report: (sessionId: string, report: UsageReport, deadline?: number) => Promise<'taken' | 'unknown' | 'full'>
  /** Brings up to `limit` sessions that are over into the usage of their days, each as it stands; says how many there were. */
  count: (limit: number) => Promise<number>
  /** Who is still in is counted until `now`. */
  usageOf: (sessionId: string, now: Date, deadline?: number) => Promise<SessionUsage>
  /** By day, then user. */
  days: (filter: DaysFilter, deadline?: number) => Promise<Day[]>
  /** Deletes up to `limit` days of before `before`; says how many there were. */
  pruneDays: (before: string, limit: number) => Promise<number>
}

/** What things cost, in the currency's own unit; what is not named costs nothing. */
export interface Prices {
  currency: string
  user_minute?: number
  agent_minute?: number
  stt_minute?: number
  tts_minute?: number
  million_input_tokens?: number
  million_output_tokens?: number
  tool_call?: number
}

export interface UsageDependencies {
  store: UsageStore
  prices: Prices | undefined
  audit: Audit
  clock: Clock
  log: Log
  /** How long days are kept, and at least this month and the last one. */
  keepDays: number
}

const EVERY = 2000 // ms
const BATCH = 100
const DAY = 86_400_000 // ms

export function createUsage ({ store, prices, audit, clock, log, keepDays }: UsageDependencies) {
  /** Counts what is over and not counted, or not as it stands now. */
  async function settle (): Promise<void> {
    while (await store.count(BATCH) === BATCH);
  }

  return {
    settle,

    /**
     * Takes what an agent's process has used until now: any number of times, in any order, also after the end.
     * @throws SessionNotFound, UsageFull
     */
    async report (id: string, report: UsageReport, deadline?: number): Promise<{ status: 'taken' }> {
      const outcome = await store.report(id, report, deadline)
      if (outcome === 'unknown') throw new SessionNotFound()
      if (outcome === 'full') throw new UsageFull()
      return { status: 'taken' }
    },

    /** What a session has used until now. */
    async of (session: Pick<Session, 'id'>, deadline?: number) {
      const { participants, ...counters } = await store.usageOf(session.id, new Date(clock.now()), deadline)
      return { ...shown(counters, prices), participants: participants.map(({ identity, kind, ms }) => ({ identity, kind, seconds: ms / 1000 })) }
    },

    /**
     * A page of days, oldest first: one's own; of all users for an administrator, or of `user_id`.
     * @throws AdminOnly when a user asks for somebody else's, BadCursor
     */
    async list (call: Call, query: { limit?: string, cursor?: string, from?: string, to?: string, user_id?: string }) {
      const limit = Number(query.limit ?? 100)
      if (query.user_id !== undefined && query.user_id !== call.user.id) await audit.onlyAdmin(call, 'listUsage')
      if (call.user.admin && query.user_id !== call.user.id) await audit.read(call, undefined, { operation: 'listUsage', ...(query.user_id && { user: query.user_id }) })
      const days = await store.days({
        userId: query.user_id ?? (call.user.admin ? undefined : call.user.id),
        from: query.from ?? firstOfMonth(clock.now()),
        to: query.to,
        after: query.cursor ? readDayCursor(query.cursor) : undefined,
        limit: limit + 1
      }, call.deadline)
      const page = days.slice(0, limit)
      return {
        usage: page.map(({ day, user_id: userId, sessions, ...counters }) => ({ day, user_id: userId, sessions, ...shown(counters, prices) })),
        next_cursor: days.length > limit ? dayCursorOf(page.at(-1)!) : null
      }
    },

    /** Deletes days that are kept no longer. */
    async sweep (): Promise<void> {
      const kept = isoDay(clock.now() - keepDays * DAY)
      const lastMonth = firstOfMonth(clock.now(), -1)
      while (await store.pruneDays(kept < lastMonth ? kept : lastMonth, BATCH) === BATCH);
    },

    /** Counts what is over. */
    ...createLoop(EVERY, settle, (err) => log.error({ err }, 'usage could not be counted'))
  }
}

export type Usage = ReturnType<typeof createUsage>

/** As the API shows it: seconds, and the cost where there are prices. */
function shown (counters: Counters, prices: Prices | undefined) {
  const { user_ms: user, agent_ms: agent, stt_ms: stt, tts_ms: tts, ...counts } = counters
  return { user_seconds: user / 1000, agent_seconds: agent / 1000, stt_seconds: stt / 1000, tts_seconds: tts / 1000, ...counts, cost: prices ? costOf(counters, prices) : null }
}

/** To a millionth of the currency's unit. */
export function costOf (counters: Counters, prices: Prices): { currency: string, amount: number } {
  const amount =
    (counters.user_ms * (prices.user_minute ?? 0) + counters.agent_ms * (prices.agent_minute ?? 0) + counters.stt_ms * (prices.stt_minute ?? 0) + counters.tts_ms * (prices.tts_minute ?? 0)) / 60_000 +
    (counters.input_tokens * (prices.million_input_tokens ?? 0) + counters.output_tokens * (prices.million_output_tokens ?? 0)) / 1_000_000 +
    counters.tool_calls * (prices.tool_call ?? 0)
  return { currency: prices.currency, amount: Math.round(amount * 1_000_000) / 1_000_000 }
}

const isoDay = (ms: number) => new Date(ms).toISOString().slice(0, 10)

/** The first day of the month (UTC) of a point in time, or of so many months later. */
function firstOfMonth (ms: number, later = 0): string {
  const at = new Date(ms)
  return isoDay(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + later, 1))
}

/** Seconds until the next month (UTC) begins: when a limit by the month is a new one. */
export const untilNextMonth = (ms: number): number => Math.ceil((Date.parse(firstOfMonth(ms, 1)) - ms) / 1000)

/** Where a page ended: a place in a list that its reader may see anyway. */
const dayCursorOf = ({ day, user_id: userId }: Pick<Day, 'day' | 'user_id'>) => Buffer.from(`${day}.${userId}`).toString('base64url')

function readDayCursor (cursor: string): Pick<Day, 'day' | 'user_id'> {
  const [, day = '', userId = ''] = /^([1-9]\d{3}-\d\d-\d\d)\.([\x20-\x7e]{1,128})$/.exec(Buffer.from(cursor, 'base64url').toString()) ?? []
  if (!userId || Number.isNaN(Date.parse(day)) || isoDay(Date.parse(day)) !== day) throw new BadCursor()
  return { day, user_id: userId }
}
