// The sessions in PostgreSQL: one statement per transition, each conditional on the state it starts from.
import { retryAfter } from '../../src/sessions/errors.ts'
import type { Change, Session, SessionEvent, SessionStore, Stay } from '../../src/sessions/store.ts'
import { states, type State } from '../../src/sessions/vocabulary.ts'
import { DatabaseUnavailable, type Database } from './query.ts'
import { isUser, lengthOf } from './usage-store.ts'

const addEvent = (name: string, source: string, type: string, actor: string, data: string, at: string) => `
  ${name} as (insert into session_events (session_id, user_id, at, type, actor, data) select id, user_id, ${at}, '${type}', ${actor}, ${data} from ${source} returning id, at, type)`

const lines = 'select id, id::text as message, at, type from noted'

/**
 * The outbox, in the statement of the change itself: for each line of the history that the app's backend is told of, a message to every endpoint
 * that wants it. A session is told of from its start on (it has a room) and up to its end, so what a receiver sees is always
 * session.started, the agents, session.ended, what became ready; an agent that came before the start was through is told of right after it.
 * With no endpoint this is a look at an empty table.
 */
export const addMessages = (session: string, told = lines) => `
  sent as (
    insert into webhook_deliveries (endpoint_id, message_id, session_id, user_id, type, at, session, give_up_at)
    select e.id, 'evt_' || l.message, s.id, s.user_id, l.type, l.at, to_jsonb(s) - '{idempotency_key,request_id,ended_by,traceparent,recording_file,recording_egress,ingress_id}'::text[], l.at + interval '1 day'
      from webhook_endpoints e join (${told}) l on l.type = any(e.events) cross join ${session} s
     where e.enabled and s.room_sid is not null and (s.state <> 'ended' or l.type in ('session.ended', 'transcript.ready', 'recording.ready'))
     order by l.id, l.message)`

const endEvent = `${addEvent('noted', 'ended', 'session.ended', 'ended_by', 'jsonb_build_object(\'reason\', end_reason)', 'ended_at')},
  ${addMessages('ended')}`

/** A state as words of the statement, not as a value: so the planner sees which index holds it. */
const inState = Object.fromEntries(states.map((state) => [state, state === 'ended' ? 'state = \'ended\'' : `state = '${state}' and state <> 'ended'`])) as Record<State, string>

/** Free slots that a start is offered: so many others may take one at the very same moment. */
const OFFERED = 8

/** How often a decision is made anew when the session has changed meanwhile, and how many of its latest stays it may rest on. */
const ATTEMPTS = 10
const LATEST_STAYS = 100

type StoredStay = Omit<Stay, 'joined_at' | 'left_at'> & { joined_at: string | null, left_at: string | null }

// The latest stays of the session `s`, and those of `sids` however old. Whoever is still in when the session ends goes with the room: told
// on reading, because a statement that ended the session and closed its stays would not see one that a webhook wrote meanwhile.
const staysOf = (s: string, sids: string) => `
  (select coalesce(json_agg(json_build_object('sid', p.sid, 'identity', p.identity, 'kind', p.kind, 'joined_at', p.joined_at, 'left_at', coalesce(p.left_at, ${s}.ended_at),
     'left_told', p.left_told, 'with_room', p.with_room or (p.left_at is null and ${s}.ended_at is not null), 'hung_up', p.hung_up, 'user_silent', p.user_silent)), '[]')
     from (select * from participants where session_id = ${s}.id and sid = any(${sids}::text[])
           union (select * from participants where session_id = ${s}.id order by coalesce(joined_at, left_at) desc limit ${LATEST_STAYS})) p)`

function toStay ({ joined_at: joined, left_at: left, ...stay }: StoredStay): Stay {
  return { ...stay, joined_at: joined ? new Date(joined) : null, left_at: left ? new Date(left) : null }
}

/**
 * How long a user has been connected in the month (UTC) of `now`, ms: the days, at most 31 rows, and what is not in them yet, which are the
 * user's live sessions and those that ended a moment ago.
 */
const connectedThisMonth = (user: string, now: string) => `
  ((select coalesce(sum(user_ms), 0) from usage_days where user_id = ${user} and day >= date_trunc('month', ${now}::timestamptz at time zone 'UTC')::date) +
   (select coalesce(sum(${lengthOf(`${now}::timestamptz`)}), 0) from sessions s join participants p on p.session_id = s.id
     where s.user_id = ${user} and not s.counted and s.created_at >= date_trunc('month', ${now}::timestamptz at time zone 'UTC') at time zone 'UTC' and ${isUser}
       and not exists (select 1 from usage_sessions where session_id = s.id)))`

/** The store over a pool of PostgreSQL connections. READ COMMITTED; times come from the caller's clock. */
export function createSessionStore ({ query }: Database): SessionStore {
  const one = async <More extends object = object>(text: string, values: unknown[], deadline?: number) => (await query<Session & More>(text, values, deadline))[0]

  const inTurn = createTurns()

  /** All that was decided, in one statement, if the row is still the one that was read. */
  function write (session: Session, version: string, { session: columns = {}, stays = [], events = [] }: Change, deadline?: number) {
    const names = Object.keys(columns)
    return one(`
      with changed as (
        update sessions set ${[stays.length > 0 ? 'counted = false' : 'check_no = check_no', ...names.map((name, n) => `${name} = $${n + 5}`)].join(', ')}
         where id = $1 and xmin = $2 returning *),
      stayed as (
        insert into participants (session_id, sid, identity, kind, joined_at, left_at, left_told, with_room, hung_up, user_silent)
        select c.id, p.* from changed c, json_to_recordset($3) as p (sid text, identity text, kind text, joined_at timestamptz, left_at timestamptz, left_told boolean, with_room boolean, hung_up boolean, user_silent boolean)
        on conflict (session_id, sid) do update set identity = excluded.identity, kind = excluded.kind, joined_at = excluded.joined_at, left_at = excluded.left_at,
          left_told = excluded.left_told, with_room = excluded.with_room, hung_up = excluded.hung_up, user_silent = excluded.user_silent),
      noted as (
        insert into session_events (session_id, user_id, at, type, actor, data, livekit_id)
        select c.id, c.user_id, e.* from changed c, json_to_recordset($4) as e (at timestamptz, type text, actor text, data jsonb, livekit_id text)
        on conflict (livekit_id) do nothing
        returning id, at, type),
      ${addMessages('changed')}
      select * from changed`,
    [session.id, version, JSON.stringify(stays), JSON.stringify(events), ...Object.values(columns)], deadline)
  }

  return {
    // The candidates are the lowest slots that are free as the statement sees it. They share one primary key, so exactly one lands, in the
    // lowest that is still free: exact under any race, one round trip, whatever the limit is (D4). None lands when all were taken meanwhile.
    // The starts of the last minute are those that were on record when the statement began: those of one user go in turn here.
    claim: (session, limits, deadline) => inTurn(session.user_id, () => one(`
      insert into sessions (id, mode, room_name, user_id, agent_type, category_id, category_name, idempotency_key, request_id, traceparent, transcript, summary, recording, recording_file, recording_check_at, text_only, language,
        agent_state, agent_dispatches, episode_dispatches, agent_dispatched_at, created_at, expires_at, next_check_at, lease_until, state, slot)
      select $1, $2, $3, $4, $5, $6::uuid, $7, $8, $16, $18, $19, $20, $21, $22, $23, $24, $25, $9, $10, $10, case when $10 > 0 then $11::timestamptz end, $11, $12, $13, $17, 'starting', s
        from (
          select s from generate_series(1, least($14::int, (select count(*)::int from sessions where user_id = $4 and ended_at is null) + ${OFFERED})) s
           where not exists (select 1 from sessions where user_id = $4 and slot = s and ended_at is null) order by s) free
       where ($15::int = 0 or (select count(*) from sessions where user_id = $4 and created_at > $11::timestamptz - interval '1 minute' and end_reason is distinct from 'start_failed') < $15)
       ${limits.connectedMs === undefined ? '' : `and ${connectedThisMonth('$4', '$11')} < $26`}
       order by s
      on conflict do nothing
      returning *`,
    [session.id, session.mode, session.room_name, session.user_id, session.agent_type, session.category_id, session.category_name, session.idempotency_key,
      session.agent_state, session.agent_dispatches, session.created_at, session.expires_at, session.next_check_at, limits.slots, limits.startsPerMinute, session.request_id, session.lease_until, session.traceparent, session.transcript, session.summary, session.recording, session.recording_file, session.recording_check_at, session.text_only, session.language,
      ...(limits.connectedMs === undefined ? [] : [limits.connectedMs])], deadline)),

    byKey: (userId, key, deadline) => one('select * from sessions where user_id = $1 and idempotency_key = $2 and end_reason is distinct from \'start_failed\'', [userId, key], deadline),

    async usage (userId, now, deadline) {
      const [usage] = await query<{ live: number, recent: number, oldest: Date | null }>(`
        select (select count(*)::int from sessions where user_id = $1 and ended_at is null) as live, count(*)::int as recent, min(created_at) as oldest
          from sessions where user_id = $1 and created_at > $2::timestamptz - interval '1 minute' and end_reason is distinct from 'start_failed'`, [userId, now], deadline)
      return usage!
    },

    async connectedThisMonth (userId, now, deadline) {
      return Number((await one<{ ms: string }>(`select ${connectedThisMonth('$1', '$2')} as ms`, [userId, now], deadline))!.ms)
    },

    byRoom: (roomName, deadline) => one('select * from sessions where room_name = $1', [roomName], deadline),

    byId: (id, deadline) => one('select * from sessions where id = $1', [id], deadline),

    // A start has 7 s at the least: rows of before 0.1.0 have no lease.
    takeOver: (id, take, deadline) => one(`
      update sessions set check_no = check_no + 1, lease_until = $3, next_check_at = $4
       where id = $1 and state = 'starting' and greatest(lease_until, created_at + interval '7 seconds') <= $2
      returning *`, [id, take.now, take.lease_until, take.next_check_at], deadline),

    goLive: (id, checkNo, live, deadline) => one(`
      with live as (
        update sessions set state = 'live', room_sid = $3, expires_at = $4, next_check_at = least(next_check_at, $5), lease_until = '-infinity', recording_check_at = case when recording = 'pending' then $7::timestamptz end
         where id = $1 and check_no = $2 and state = 'starting' returning *),
      ${addEvent('noted', 'live', 'session.started', '$6', 'jsonb_strip_nulls(jsonb_build_object(\'mode\', mode, \'agent_type\', agent_type, \'counselor_category\', category_name))', '$7::timestamptz')},
      ${addMessages('live', `${lines} union all select n.id, n.id || 'a', agent_joined_at, 'agent.joined' from noted n, live where agent_state = 'joined'`)}
      select * from live`, [id, checkNo, live.room_sid, live.expires_at, live.next_check_at, live.actor, live.now], deadline),

    failStart: (id, checkNo, end, deadline) => one(`
      with ended as (
        update sessions set state = 'ended', end_reason = 'start_failed', ended_by = 'service', ended_at = $3, watch_until = $4, next_check_at = $5, lease_until = '-infinity', check_no = check_no + 1
         where id = $1 and check_no = $2 and state = 'starting' returning *),
      ${endEvent}
      select * from ended`, [id, checkNo, end.now, end.watch_until, end.next_check_at], deadline),

    liveOf: (userId, mode, deadline) => query(
      'select * from sessions where user_id = $1 and mode = $2 and state = \'live\' and ended_at is null order by created_at desc, id desc', [userId, mode], deadline),

    beginEnd (key, end, deadline) {
      const [where, values] = 'id' in key ? ['id = $6', [key.id]] : ['room_name = $6 and mode = $7 and user_id = $8', [key.room_name, key.mode, key.user_id]]
      return one(`
        update sessions set state = 'ending', end_reason = coalesce(end_reason, $1), ended_by = coalesce(ended_by, $2), lease_until = $4, next_check_at = $4, check_no = check_no + 1, ingress_check_at = case when ingress = 'ready' then $3 else ingress_check_at end
         where ${where} and (state in ('starting', 'live') or (state = 'ending' and (lease_until < $3 or check_no = $5)))
        returning *`, [end.reason, end.by, end.now, end.lease_until, end.holding ?? null, ...values], deadline)
    },

    finishEnd: (id, checkNo, end, deadline) => one(`
      with ended as (
        update sessions set state = 'ended', ended_at = $3, watch_until = $4, next_check_at = case when finished_at is null or revived_at is not null then $5::timestamptz else $6 end, lease_until = '-infinity'
         where id = $1 and check_no = $2 and state = 'ending' returning *),
      ${endEvent}
      select * from ended`, [id, checkNo, end.now, end.watch_until, end.next_check_at, end.late], deadline),

    // Two statements and no lock between them: the write lands only on the row as it was read, else it is decided anew.
    change: (key, decide, sids = [], deadline) => inTurn('room_name' in key ? key.room_name : key.id, async () => {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const [where, values] = 'room_name' in key ? ['room_name = $1', [key.room_name]] : ['id = $1 and check_no = $2', [key.id, key.check_no]]
        const read = await one<{ version: string, stays: StoredStay[] }>(`
          select s.*, s.xmin as version, ${staysOf('s', `$${values.length + 1}`)} as stays from sessions s where ${where}`, [...values, sids], deadline)
        if (!read) return undefined
        const { version, stays, ...session } = read
        const change = decide(session, stays.map(toStay))
        if (!change) return session
        const changed = await write(session, version, change, deadline)
        if (changed) return changed
      }
      throw retryAfter(new DatabaseUnavailable({ cause: new Error(`the session changed ${ATTEMPTS} times while it was decided on`) }), 1)
    }),

    // next_check_at = lease_until while a look is on: whatever differs afterwards was asked for meanwhile (see release).
    claimDue: (now, leaseUntil, limit) => query(`
      update sessions s set lease_until = $2, next_check_at = $2, check_no = check_no + 1
        from (select id, next_check_at as due_at from sessions where next_check_at <= $1 and lease_until < $1 order by next_check_at limit $3 for update skip locked) due
       where s.id = due.id
      returning s.*, due.due_at`, [now, leaseUntil, limit]),

    async release (looks) {
      if (looks.length === 0) return
      await query(`
        update sessions s set lease_until = '-infinity', next_check_at = case when s.next_check_at = s.lease_until then l.at else least(s.next_check_at, l.at) end
          from unnest($1::uuid[], $2::int[], $3::timestamptz[]) l (id, check_no, at)
         where s.id = l.id and s.check_no = l.check_no`,
      [looks.map((look) => look.id), looks.map((look) => look.check_no), looks.map((look) => look.next_check_at)])
    },

    // Only what is asked for is in the statement: one for all filters has one plan for all, and reads everything.
    history ({ userId, mode, state, from, to, after, limit }, deadline) {
      const values: unknown[] = []
      const value = (given: unknown) => `$${values.push(given)}`
      const conditions = [
        userId !== undefined && `user_id = ${value(userId)}`,
        mode && `mode = ${value(mode)}`,
        state && inState[state],
        from && `created_at >= ${value(from)}`,
        to && `created_at < ${value(to)}`,
        after && `(created_at, id) < (${value(after.created_at)}, ${value(after.id)}::uuid)`
      ].filter(Boolean)
      return query(`select * from sessions ${conditions.length > 0 ? `where ${conditions.join(' and ')}` : ''} order by created_at desc, id desc limit ${value(limit)}`, values, deadline, false)
    },

    eventsOf: (sessionId, { before, limit }, deadline) => query(`
      select id, at, type, actor, data from (
        select * from session_events where session_id = $1 and ($2::bigint is null or id < $2) order by id desc limit $3) last order by id`, [sessionId, before ?? null, limit], deadline),

    async prune (before, limit) {
      // What was said first, in batches: a session may have thousands of lines, and takes those that are left with it.
      const said = await query(`
        delete from transcript_lines where id in (select l.id from sessions s join transcript_lines l on l.session_id = s.id where s.ended_at < $1 and s.transcript is not null limit $2)
        returning 1`, [before, limit])
      const sessions = said.length === limit
        ? []
        // One whose room could come back, or whose ingress is to be removed, is still looked at.
        : await query('delete from sessions where id in (select id from sessions where ended_at < $1 and next_check_at is null and ingress_check_at is null limit $2) returning 1', [before, limit])
      // The trail is append-only but for this (003.do.audit.sql).
      const events = await query(`
        with retention as materialized (select set_config('livekit_sessions.retention', 'on', true))
        delete from session_events using retention where id in (select id from session_events where at < $1 limit $2) returning 1`, [before, limit])
      const deliveries = await query('delete from webhook_deliveries where id in (select id from webhook_deliveries where at < $1 limit $2) returning 1', [before, limit])
      return Math.max(said.length, sessions.length, events.length, deliveries.length)
    },

    countLive: () => query('select mode, state, count(*)::int as count from sessions where ended_at is null group by mode, state', []),

    async note (event, deadline) {
      await query(...insertEvent(event), deadline)
    },

    async ping () {
      await query('select 1', [])
    }
  }
}

function insertEvent (event: SessionEvent): [string, unknown[]] {
  return [
    'insert into session_events (session_id, user_id, at, type, actor, data, livekit_id) values ($1, $2, $3, $4, $5, $6, $7) on conflict (livekit_id) do nothing',
    [event.session_id, event.user_id, event.at, event.type, event.actor, event.data, event.livekit_id ?? null]
  ]
}

/** One after the other for each key, within this process: who decides on the same thing at once would only undo each other's reads. */
function createTurns () {
  const last = new Map<string, Promise<unknown>>()
  return async <T>(key: string, work: () => Promise<T>): Promise<T> => {
    const mine = (last.get(key) ?? Promise.resolve()).then(work, work)
    last.set(key, mine)
    try {
      return await mine
    } finally {
      if (last.get(key) === mine) last.delete(key)
    }
  }
}
