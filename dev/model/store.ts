// The store in memory with PostgreSQL's semantics: each statement whole, one after the other, in the order they arrive.
// test/plugins/store-contract.test.ts puts the same statements to both.
import type { Delivery, Endpoint, OutboxStore, Outcome } from '../../src/sessions/outbox.ts'
import type { Change, EndKey, Session, SessionEvent, SessionStore, Stay } from '../../src/sessions/store.ts'
import type { IngressStore } from '../../src/sessions/ingress.ts'
import type { LeftFile, RecordingStore } from '../../src/sessions/recordings.ts'
import type { SealedLine, TranscriptStore } from '../../src/sessions/transcripts.ts'
import type { Counters, Day, UsageReport, UsageStore } from '../../src/sessions/usage.ts'
import { messageTypes, type MessageType } from '../../src/sessions/vocabulary.ts'

export interface Row extends Session {
  /** ms since 1970 */
  lease: number
  /** Another after each write, as PostgreSQL's xmin is. */
  version: number
}
type StoredEvent = SessionEvent & { id: number }
export type Message = Delivery & { next_attempt_at: number }

/** What the statements do to the tables; synchronous, so that each is one step. */
export type Statements = ReturnType<typeof createStatements>

function add (to: object, what: object, sign = 1) {
  const sums = to as Record<string, number>
  for (const [name, value] of Object.entries(what)) sums[name] = (sums[name] ?? 0) + sign * value
}

const time = (at: Date | null) => at === null ? Infinity : at.getTime()
const byNewest = (a: Row, b: Row) => b.created_at.getTime() - a.created_at.getTime() || (a.id < b.id ? 1 : -1)

export function createStatements () {
  const rows = new Map<string, Row>()
  const stays = new Map<string, Map<string, Stay>>()
  const events: StoredEvent[] = []
  /** Where messages go, and the outbox. */
  const endpoints: Endpoint[] = []
  const messages: Message[] = []
  /** What was said, by session, and who wrote: whether they are done. */
  const said = new Map<string, SealedLine[]>()
  const writers = new Map<string, Map<string, boolean>>()
  /** What agents reported, by session and process; what of a session is in its day; the days. */
  const reports = new Map<string, Map<string, UsageReport>>()
  const countedOf = new Map<string, Counters & { sessions: number }>()
  const days = new Map<string, Day>()
  /** Files that are to be deleted, and when. */
  const left = new Map<string, LeftFile & { check_at: number }>()
  let count = 0

  const failed = (row: Row) => row.end_reason === 'start_failed'
  const sorted = (keep: (row: Row) => boolean) => [...rows.values()].filter(keep).sort(byNewest)
  /** A copy: what a statement returned does not change any more. */
  const out = (row: Row | undefined) => row && { ...row }
  const set = (row: Row, change: Partial<Row>) => {
    if ((change.recording === 'deleted' || change.recording === 'failed') && row.recording !== change.recording) leave(row)
    return out(Object.assign(row, change, { version: row.version + 1 }))!
  }

  /** The triggers of the table. */
  function leave ({ recording_file: file, room_name: roomName }: Row) {
    if (file && !left.has(file)) left.set(file, { file, room_name: roomName, attempts: 0, check_at: -Infinity })
  }

  function note (event: SessionEvent): StoredEvent | undefined {
    if (event.livekit_id && events.some((known) => known.livekit_id === event.livekit_id)) return undefined
    const line = { ...event, id: ++count }
    events.push(line)
    return line
  }

  /** The outbox's part of a statement that has changed a session and noted these lines. */
  function tell (row: Row, lines: Array<Pick<StoredEvent, 'type' | 'at'> & { message: string } | undefined>) {
    if (row.room_sid === null) return
    for (const line of lines) {
      if (!line || (row.state === 'ended' && !['session.ended', 'transcript.ready', 'recording.ready'].includes(line.type))) continue
      for (const endpoint of endpoints) {
        if (!endpoint.enabled || !(endpoint.events as string[]).includes(line.type)) continue
        messages.push({
          id: String(++count),
          endpoint_id: endpoint.id,
          message_id: line.message,
          session_id: row.id,
          type: line.type as MessageType,
          at: line.at,
          session: { ...row },
          state: 'pending',
          attempts: 0,
          give_up_at: new Date(line.at.getTime() + 86_400_000),
          next_attempt_at: -Infinity
        })
      }
    }
  }

  const told = (line: StoredEvent | undefined) => line && { type: line.type, at: line.at, message: `evt_${line.id}` }

  function over (row: Row) {
    statements.tell(row, [told(note({ session_id: row.id, user_id: row.user_id, at: row.ended_at!, type: 'session.ended', actor: row.ended_by!, data: { reason: row.end_reason } }))])
  }

  /** Whoever is still in when the session ends goes with the room. */
  function staysOf (id: string): Stay[] {
    const { ended_at: endedAt = null } = rows.get(id) ?? {}
    return [...stays.get(id)?.values() ?? []].map((stay) => stay.left_at || !endedAt ? stay : { ...stay, left_at: endedAt, with_room: true })
  }

  function usedBy (row: Row, now: Date): Counters {
    const used = { user_ms: 0, agent_ms: 0, stt_ms: 0, tts_ms: 0, input_tokens: 0, output_tokens: 0, tool_calls: 0 }
    for (const { kind, joined_at: joined, left_at: left } of stays.get(row.id)?.values() ?? []) {
      const ms = joined ? Math.max(0, (left ?? row.ended_at ?? now).getTime() - joined.getTime()) : 0
      if (kind === 'AGENT') used.agent_ms += ms
      else if (kind === 'STANDARD' || kind === 'SIP') used.user_ms += ms
    }
    for (const { writer: _writer, seq: _seq, ...report } of reports.get(row.id)?.values() ?? []) add(used, report)
    return used
  }

  const statements = {
    rows,
    events,
    reports,
    days,
    usedBy,
    endpoints,
    messages,
    said,
    left,
    staysOf,
    note,
    tell,
    over,

    claim (session: Parameters<SessionStore['claim']>[0], limits: { slots: number, startsPerMinute: number, connectedMs?: number }) {
      const all = [...rows.values()]
      const mine = all.filter((row) => row.user_id === session.user_id)
      const recent = mine.filter((row) => row.created_at.getTime() > session.created_at.getTime() - 60_000 && !failed(row))
      if (limits.startsPerMinute > 0 && recent.length >= limits.startsPerMinute) return undefined
      if (limits.connectedMs !== undefined && statements.connectedThisMonth(session.user_id, session.created_at) >= limits.connectedMs) return undefined
      if (rows.has(session.id) || all.some((row) => row.room_name === session.room_name)) return undefined
      if (session.idempotency_key !== null && mine.some((row) => row.idempotency_key === session.idempotency_key && !failed(row))) return undefined
      const taken = new Set(mine.filter((row) => !row.ended_at).map((row) => row.slot))
      const slot = Array.from({ length: limits.slots }, (_, n) => n + 1).find((n) => !taken.has(n))
      if (!slot) return undefined
      const { lease_until: lease, ...rest } = session
      const row: Row = {
        ...rest,
        slot,
        lease: lease.getTime(),
        state: 'starting',
        room_sid: null,
        ended_by: null,
        end_reason: null,
        episode_dispatches: session.agent_dispatches,
        agent_dispatched_at: session.agent_dispatches > 0 ? session.created_at : null,
        agent_joined_at: null,
        user_joined_at: null,
        seen_sids: '',
        counted: false,
        ended_at: null,
        finished_at: null,
        revived_at: null,
        recording_egress: null,
        recording_asks: 0,
        recording_started_at: null,
        recording_ended_at: null,
        ingress: null,
        ingress_kind: null,
        ingress_id: null,
        ingress_asks: 0,
        ingress_doubt_until: null,
        ingress_check_at: null,
        watch_until: null,
        check_no: 0,
        version: 0
      }
      rows.set(row.id, row)
      return out(row)
    },

    byKey: (userId: string, key: string) => out([...rows.values()].find((row) => row.user_id === userId && row.idempotency_key === key && !failed(row))),

    usage (userId: string, now: Date) {
      const mine = [...rows.values()].filter((row) => row.user_id === userId)
      const recent = mine.filter((row) => row.created_at.getTime() > now.getTime() - 60_000 && !failed(row)).map((row) => row.created_at).sort((a, b) => a.getTime() - b.getTime())
      return { live: mine.filter((row) => !row.ended_at).length, recent: recent.length, oldest: recent[0] ?? null }
    },

    connectedThisMonth (userId: string, now: Date) {
      const month = now.toISOString().slice(0, 7)
      const counted = [...days.values()].filter((day) => day.user_id === userId && day.day.slice(0, 7) >= month)
      const open = [...rows.values()].filter((row) => row.user_id === userId && !row.counted && !countedOf.has(row.id) && row.created_at.toISOString().slice(0, 7) >= month)
      return counted.reduce((sum, { user_ms: ms }) => sum + ms, 0) + open.reduce((sum, row) => sum + usedBy(row, now).user_ms, 0)
    },

    byRoom: (roomName: string) => out([...rows.values()].find((row) => row.room_name === roomName)),
    byId: (id: string) => out(rows.get(id)),

    takeOver (id: string, take: { now: Date, lease_until: Date, next_check_at: Date }) {
      const row = rows.get(id)
      if (!row || row.state !== 'starting' || Math.max(row.lease, row.created_at.getTime() + 7000) > take.now.getTime()) return undefined
      return set(row, { check_no: row.check_no + 1, lease: take.lease_until.getTime(), next_check_at: take.next_check_at })
    },

    goLive (id: string, checkNo: number, live: { room_sid: string, expires_at: Date, next_check_at: Date, actor: string, now: Date }) {
      const row = rows.get(id)
      if (!row || row.check_no !== checkNo || row.state !== 'starting') return undefined
      const data = { mode: row.mode, agent_type: row.agent_type, counselor_category: row.category_name }
      const line = note({ session_id: id, user_id: row.user_id, at: live.now, type: 'session.started', actor: live.actor, data: Object.fromEntries(Object.entries(data).filter(([, value]) => value !== null)) })
      const changed = set(row, { state: 'live', room_sid: live.room_sid, expires_at: live.expires_at, next_check_at: time(row.next_check_at) < live.next_check_at.getTime() ? row.next_check_at : live.next_check_at, lease: -Infinity, recording_check_at: row.recording === 'pending' ? live.now : null })
      statements.tell(row, [told(line), row.agent_state === 'joined' ? { type: 'agent.joined', at: row.agent_joined_at!, message: `evt_${line!.id}a` } : undefined])
      return changed
    },

    failStart (id: string, checkNo: number, end: { now: Date, watch_until: Date, next_check_at: Date | null }) {
      const row = rows.get(id)
      if (!row || row.check_no !== checkNo || row.state !== 'starting') return undefined
      const ended = set(row, { state: 'ended', end_reason: 'start_failed', ended_by: 'service', ended_at: end.now, watch_until: end.watch_until, next_check_at: end.next_check_at, lease: -Infinity, check_no: row.check_no + 1 })
      over(row)
      return ended
    },

    liveOf: (userId: string, mode: string) => sorted((row) => row.user_id === userId && row.mode === mode && row.state === 'live').map((row) => out(row)!),

    beginEnd (key: EndKey, end: Parameters<SessionStore['beginEnd']>[1]) {
      const row = 'id' in key ? rows.get(key.id) : [...rows.values()].find((row) => row.room_name === key.room_name && row.mode === key.mode && row.user_id === key.user_id)
      if (!row) return undefined
      const mayBegin = row.state === 'starting' || row.state === 'live' || (row.state === 'ending' && (row.lease < end.now.getTime() || row.check_no === end.holding))
      if (!mayBegin) return undefined
      return set(row, { state: 'ending', end_reason: row.end_reason ?? end.reason, ended_by: row.ended_by ?? end.by, lease: end.lease_until.getTime(), next_check_at: end.lease_until, check_no: row.check_no + 1, ...(row.ingress === 'ready' && { ingress_check_at: end.now }) })
    },

    finishEnd (id: string, checkNo: number, end: { now: Date, watch_until: Date, next_check_at: Date | null, late: Date | null }) {
      const row = rows.get(id)
      if (!row || row.check_no !== checkNo || row.state !== 'ending') return undefined
      const ended = set(row, { state: 'ended', ended_at: end.now, watch_until: end.watch_until, next_check_at: row.finished_at && !row.revived_at ? end.late : end.next_check_at, lease: -Infinity })
      over(row)
      return ended
    },

    read (key: { room_name: string } | { id: string, check_no: number }) {
      const row = [...rows.values()].find((row) => 'room_name' in key ? row.room_name === key.room_name : row.id === key.id && row.check_no === key.check_no)
      return row && { session: { ...row }, stays: staysOf(row.id), version: row.version }
    },

    write (id: string, version: number, change: Change) {
      const row = rows.get(id)
      if (row?.version !== version) return undefined
      if (change.stays && !stays.has(row.id)) stays.set(row.id, new Map())
      for (const stay of change.stays ?? []) stays.get(row.id)!.set(stay.sid, { ...stay })
      const lines = (change.events ?? []).map((event) => note({ ...event, session_id: row.id, user_id: row.user_id }))
      const changed = set(row, { ...change.session, ...(change.stays?.length && { counted: false }) })
      statements.tell(row, lines.map(told))
      return changed
    },

    claimDue (now: Date, leaseUntil: Date, limit: number) {
      const due = [...rows.values()].filter((row) => time(row.next_check_at) <= now.getTime() && row.lease < now.getTime()).sort((a, b) => time(a.next_check_at) - time(b.next_check_at))
      return due.slice(0, limit).map((row) => {
        const dueAt = row.next_check_at!
        return { ...set(row, { lease: leaseUntil.getTime(), next_check_at: leaseUntil, check_no: row.check_no + 1 }), due_at: dueAt }
      })
    },

    release (looks: Parameters<SessionStore['release']>[0]) {
      for (const look of looks) {
        const row = rows.get(look.id)
        if (row?.check_no === look.check_no) set(row, { next_check_at: time(row.next_check_at) === row.lease || time(look.next_check_at) < time(row.next_check_at) ? look.next_check_at : row.next_check_at, lease: -Infinity })
      }
    },

    history (filter: Parameters<SessionStore['history']>[0]) {
      const { userId, mode, state, from, to, after } = filter
      const isAfter = (row: Row) => !after || row.created_at < after.created_at || (row.created_at.getTime() === after.created_at.getTime() && row.id < after.id)
      return sorted((row) => (!userId || row.user_id === userId) && (!mode || row.mode === mode) && (!state || row.state === state) && (!from || row.created_at >= from) && (!to || row.created_at < to) && isAfter(row)).slice(0, filter.limit).map((row) => out(row)!)
    },

    eventsOf: (sessionId: string, { before = Infinity, limit }: { before?: string | number, limit: number }) =>
      events.filter((event) => event.session_id === sessionId && event.id < Number(before)).slice(-limit).map(({ id, at, type, actor, data }) => ({ id: String(id), at, type, actor, data })),

    prune (before: Date, limit: number) {
      const old = [...rows.values()].filter((row) => row.ended_at && row.ended_at < before).slice(0, limit)
      for (const row of old) if (row.recording !== 'deleted') leave(row)
      for (const { id } of old) for (const table of [rows, stays, said, writers, reports, countedOf]) table.delete(id)
      const forgotten = events.filter((event) => event.at < before).slice(0, limit)
      for (const event of forgotten) events.splice(events.indexOf(event), 1)
      const sent = messages.filter((message) => message.at < before).slice(0, limit)
      for (const message of sent) messages.splice(messages.indexOf(message), 1)
      return Math.max(old.length, forgotten.length, sent.length)
    },

    countLive () {
      const counts = new Map<string, Pick<Session, 'mode' | 'state'> & { count: number }>()
      for (const { mode, state, ended_at: endedAt } of rows.values()) if (!endedAt) counts.set(`${mode} ${state}`, { mode, state, count: (counts.get(`${mode} ${state}`)?.count ?? 0) + 1 })
      return [...counts.values()]
    },

    claimMessages (endpointId: string, now: Date, leaseUntil: Date, limit: number): Delivery[] {
      const pending = messages.filter((message) => message.endpoint_id === endpointId && message.state === 'pending')
      const due = pending.filter((message) => message.next_attempt_at <= now.getTime() && pending.find((other) => other.session_id === message.session_id) === message)
      return due.slice(0, limit).map((message) => ({ ...Object.assign(message, { attempts: message.attempts + 1, next_attempt_at: leaseUntil.getTime() }) }))
    },

    settleMessage ({ id, attempts }: Pick<Delivery, 'id' | 'attempts'>, outcome: Outcome) {
      const message = messages.find((message) => message.id === id)
      if (message?.attempts !== attempts || message.state !== 'pending') return
      const next = outcome.next_attempt_at.getTime()
      Object.assign(message, { state: outcome.state, next_attempt_at: next })
      for (const other of messages.slice(messages.indexOf(message) + 1)) {
        if (other.endpoint_id === message.endpoint_id && other.session_id === message.session_id && other.state === 'pending') other.next_attempt_at = next
      }
    },

    appendLines (sessionId: string, { writer, done, lines }: Parameters<TranscriptStore['append']>[1], endedAfter: Date) {
      const row = rows.get(sessionId)
      if (row?.transcript !== 'writing' || (row.ended_at && row.ended_at <= endedAfter)) return 'closed' as const
      const known = said.get(sessionId) ?? []
      for (const line of lines) {
        const before = known.findIndex((other) => other.writer === line.writer && other.seq === line.seq)
        if (before < 0) known.push(line)
        else if (known[before]!.revision < line.revision) known[before] = line
      }
      said.set(sessionId, known)
      const mine = writers.get(sessionId) ?? new Map<string, boolean>()
      writers.set(sessionId, mine.set(writer, done || (mine.get(writer) ?? false)))
      return 'written' as const
    },

    dueRecordings (now: Date, leaseUntil: Date, limit: number) {
      const due = [...rows.values()].filter((row) => time(row.recording_check_at) <= now.getTime()).sort((a, b) => time(a.recording_check_at) - time(b.recording_check_at))
      return due.slice(0, limit).map((row) => set(row, { recording_check_at: leaseUntil }))
    },

    dueIngresses (now: Date, leaseUntil: Date, limit: number) {
      const due = [...rows.values()].filter((row) => time(row.ingress_check_at) <= now.getTime()).sort((a, b) => time(a.ingress_check_at) - time(b.ingress_check_at))
      return due.slice(0, limit).map((row) => set(row, { ingress_check_at: leaseUntil }))
    },

    dueLeft: (now: Date, leaseUntil: Date, limit: number) => [...left.values()].filter((file) => file.check_at <= now.getTime()).slice(0, limit)
      .map((file) => ({ ...Object.assign(file, { check_at: leaseUntil.getTime(), attempts: file.attempts + 1 }) })),

    isWhole (row: Row, endedUntil: Date) {
      const done = [...writers.get(row.id)?.values() ?? []]
      return row.transcript === 'writing' && row.ended_at !== null && (row.ended_at <= endedUntil || (done.length > 0 && done.every(Boolean)))
    },

    makeTranscriptReady (id: string, endedUntil: Date, now: Date) {
      const row = rows.get(id)
      if (!row || !statements.isWhole(row, endedUntil)) return false
      set(row, { transcript: 'ready' })
      statements.tell(row, [told(note({ session_id: id, user_id: row.user_id, at: now, type: 'transcript.ready', actor: 'service', data: {} }))])
      return true
    },

    deleteTranscript (id: string, event: SessionEvent) {
      const row = rows.get(id)
      if (row?.transcript !== 'writing' && row?.transcript !== 'ready') return
      set(row, { transcript: 'deleted' })
      note(event)
    },

    takeReport (sessionId: string, report: UsageReport) {
      const row = rows.get(sessionId)
      if (!row) return 'unknown' as const
      const known = reports.get(sessionId) ?? new Map<string, UsageReport>()
      const before = known.get(report.writer)
      if (before && before.seq >= report.seq) return 'taken' as const
      reports.set(sessionId, known.set(report.writer, report))
      if (row.ended_at) set(row, { counted: false })
      return 'taken' as const
    },

    countUsage () {
      const due = [...rows.values()].filter((row) => row.ended_at && !row.counted)
      for (const row of due) {
        const used = usedBy(row, row.ended_at!)
        set(row, { counted: true })
        if (failed(row) && Object.values(used).every((value) => value === 0)) continue
        const day = row.created_at.toISOString().slice(0, 10)
        const key = `${day} ${row.user_id}`
        const sum = days.get(key) ?? { day, user_id: row.user_id, sessions: 0, user_ms: 0, agent_ms: 0, stt_ms: 0, tts_ms: 0, input_tokens: 0, output_tokens: 0, tool_calls: 0 }
        days.set(key, sum)
        add(sum, countedOf.get(row.id) ?? {}, -1)
        const now = { sessions: 1, ...used }
        countedOf.set(row.id, now)
        add(sum, now)
      }
      return due.length
    },

    deleteLines (id: string) { said.delete(id) },

    deleteLinesLeft () {
      for (const { id, transcript } of rows.values()) if (transcript === 'deleted') said.delete(id)
    }
  }
  return statements
}

/** How a statement travels: `work` is done when it arrives, and the caller learns of it when the answer comes. */
export type Travel = <T>(what: string, work: () => T | Promise<T>, deadline?: number) => Promise<T>

const direct: Travel = async (_what, work) => work()

/** A SessionStore over the statements; without `travel` each is done at once. */
export function createMemoryStore (sql: Statements, travel: Travel = direct): SessionStore {
  return {
    claim: (session, limits, deadline) => travel('claim', () => sql.claim(session, limits), deadline),
    byKey: (userId, key, deadline) => travel('byKey', () => sql.byKey(userId, key), deadline),
    usage: (userId, now, deadline) => travel('usage', () => sql.usage(userId, now), deadline),
    connectedThisMonth: (userId, now, deadline) => travel('connectedThisMonth', () => sql.connectedThisMonth(userId, now), deadline),
    byRoom: (roomName, deadline) => travel('byRoom', () => sql.byRoom(roomName), deadline),
    byId: (id, deadline) => travel('byId', () => sql.byId(id), deadline),
    takeOver: (id, take, deadline) => travel('takeOver', () => sql.takeOver(id, take), deadline),
    goLive: (id, checkNo, live, deadline) => travel('goLive', () => sql.goLive(id, checkNo, live), deadline),
    failStart: (id, checkNo, end, deadline) => travel('failStart', () => sql.failStart(id, checkNo, end), deadline),
    liveOf: (userId, mode, deadline) => travel('liveOf', () => sql.liveOf(userId, mode), deadline),
    beginEnd: (key, end, deadline) => travel('beginEnd', () => sql.beginEnd(key, end), deadline),
    finishEnd: (id, checkNo, end, deadline) => travel('finishEnd', () => sql.finishEnd(id, checkNo, end), deadline),

    async change (key, decide) {
      for (;;) {
        const read = await travel('change reads', () => sql.read(key))
        if (!read) return undefined
        const change = decide(read.session, read.stays)
        if (!change) return read.session
        const changed = await travel('change writes', () => sql.write(read.session.id, read.version, change))
        if (changed) return changed
      }
    },

    claimDue: (now, leaseUntil, limit) => travel('claimDue', () => sql.claimDue(now, leaseUntil, limit)),
    release: (looks) => looks.length === 0 ? Promise.resolve() : travel('release', () => sql.release(looks)),
    history: (filter, deadline) => travel('history', () => sql.history(filter), deadline),
    eventsOf: (sessionId, page, deadline) => travel('eventsOf', () => sql.eventsOf(sessionId, page), deadline),
    prune: (before, limit) => travel('prune', () => sql.prune(before, limit)),
    countLive: () => travel('countLive', () => sql.countLive()),
    note: (event) => travel('note', () => { sql.note(event) }),
    ping: () => travel('ping', () => {})
  }
}

/** The outbox over the same statements. */
export function createMemoryOutbox (sql: Statements, travel: Travel = direct): OutboxStore {
  return {
    dueEndpoints: (now) => travel('dueEndpoints', () => sql.endpoints.filter(({ id, enabled }) => enabled && sql.messages.some((message) => message.endpoint_id === id && message.state === 'pending' && message.next_attempt_at <= now.getTime()))),
    claim: (endpointId, now, leaseUntil, limit) => travel('claim messages', () => sql.claimMessages(endpointId, now, leaseUntil, limit)),
    settle: (delivery, outcome) => travel('settle a message', () => sql.settleMessage(delivery, outcome))
  }
}

/** Transcripts over the same statements. */
export function createMemoryTranscripts (sql: Statements, travel: Travel = direct): TranscriptStore {
  return {
    append: (id, batch, endedAfter, deadline) => travel('append lines', () => sql.appendLines(id, batch, endedAfter), deadline),
    linesOf: (id, deadline) => travel('linesOf', () => [...sql.said.get(id) ?? []], deadline),
    due: (endedUntil) => travel('due transcripts', () => [...sql.rows.values()].filter((row) => sql.isWhole(row, endedUntil)).map(({ id }) => id)),
    makeReady: (id, endedUntil, now) => travel('makeReady', () => sql.makeTranscriptReady(id, endedUntil, now)),
    async remove (id, event, deadline) {
      await travel('delete transcript', () => sql.deleteTranscript(id, event), deadline)
      await travel('delete its lines', () => sql.deleteLines(id), deadline)
    },
    removeLeft: () => travel('removeLeft', () => { sql.deleteLinesLeft(); return 0 })
  }
}

/** Usage over the same statements. */
export function createMemoryUsage (sql: Statements, travel: Travel = direct): UsageStore {
  return {
    report: (id, report, deadline) => travel('report usage', () => sql.takeReport(id, report), deadline),
    count: (limit) => travel('count usage', () => Math.min(limit - 1, sql.countUsage())),
    usageOf: (id, now, deadline) => travel('usageOf', () => {
      const row = sql.rows.get(id)
      if (!row) throw new Error('no such session')
      return { ...sql.usedBy(row, now), participants: [] }
    }, deadline),
    days: ({ userId, limit }, deadline) => travel('days', () => [...sql.days.values()].filter((day) => userId === undefined || day.user_id === userId)
      .sort((a, b) => `${a.day} ${a.user_id}` < `${b.day} ${b.user_id}` ? -1 : 1).slice(0, limit), deadline),
    pruneDays: (before) => travel('pruneDays', () => {
      const old = [...sql.days].filter(([, { day }]) => day < before)
      for (const [key] of old) sql.days.delete(key)
      return old.length
    })
  }
}

/** Recordings over the same statements. */
export function createMemoryRecordings (sql: Statements, travel: Travel = direct): RecordingStore {
  return {
    due: (now, leaseUntil, limit) => travel('due recordings', () => sql.dueRecordings(now, leaseUntil, limit)),
    leftDue: (now, leaseUntil, limit) => travel('due files', () => sql.dueLeft(now, leaseUntil, limit)),
    putOff: (file, until) => travel('put a file off', () => { const one = sql.left.get(file); if (one) one.check_at = until.getTime() }),
    forget: (file) => travel('forget a file', () => { sql.left.delete(file) })
  }
}

/** Ingresses over the same statements. */
export function createMemoryIngresses (sql: Statements, travel: Travel = direct): IngressStore {
  return { due: (now, leaseUntil, limit) => travel('due ingresses', () => sql.dueIngresses(now, leaseUntil, limit)) }
}

/** The one endpoint of a model: it is told of everything. */
export const anEndpoint: Endpoint = {
  id: '00000000-0000-4000-8000-0000000000ee',
  url: 'https://app.example.com/',
  description: '',
  events: [...messageTypes],
  enabled: true,
  secret: 'whsec_',
  old_secret: null,
  old_secret_until: null,
  created_at: new Date(0),
  updated_at: new Date(0)
}
