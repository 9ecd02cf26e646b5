// Who is in a room, and what a report about it (a webhook, a look) changes in the record of the session: pure functions.
import { ingressOf } from './record.ts'
import type { Participant } from './rooms.ts'
import type { Change, Session, SessionEvent, Stay } from './store.ts'

/** Kinds of participants that are neither a user nor an agent: what LiveKit Egress records with, and what Ingress brings in. */
const services = new Set(['EGRESS', 'INGRESS'])
// The avatar publishes on behalf of its agent: it is not counted beside it.
const isAvatar = ({ attributes }: Pick<Participant, 'attributes'>) => attributes['lk.publish_on_behalf'] !== undefined
const isHelper = (participant: Pick<Participant, 'kind' | 'attributes'>) => services.has(participant.kind) || isAvatar(participant)
/** Who a stream is in the room: never the user's own identity, or the one would throw the other out. */
export const streamIdentity = ({ id }: Pick<Session, 'id'>) => `ingress-${id}`
/** The ingress that a stream comes by, if LiveKit Ingress says. */
export const ingressIdOf = ({ attributes }: Pick<Participant, 'attributes'>) => attributes['ingress.ingressID']
export const isStream = ({ kind }: { kind: string }) => kind === 'INGRESS'
const isAgent = ({ kind }: { kind: string }) => kind === 'AGENT'
/** A person, whatever they came by: a client of LiveKit, or a telephone. plugins/database/usage-store.ts counts the same. */
export const isUser = ({ kind }: { kind: string }) => kind === 'STANDARD' || kind === 'SIP'

/** Those that count, as they joined: ACTIVE users and agents, without recorders, streams that come in and avatars (A4.4). */
export function present (participants: Participant[]): Participant[] {
  return participants
    .filter((participant) => participant.state === 'ACTIVE' && !isHelper(participant))
    .sort((a, b) => a.joinedAt.getTime() - b.joinedAt.getTime())
}

/** What the status answers say of a room (A4.4); voice shows all but the avatar. */
export function statusOf (participants: Participant[]) {
  const counted = present(participants)
  return {
    active: counted.length > 0,
    participants: counted.length,
    agent_connected: counted.some((participant) => participant.kind === 'AGENT'),
    avatar_connected: participants.some((participant) => participant.state === 'ACTIVE' && isAvatar(participant))
  }
}

/** The ingress of a session, and whether its stream is in the room now; undefined when there is none. */
export function ingressNow (session: Session, participants: Participant[]) {
  const ingress = ingressOf(session)
  return ingress ? { ...ingress, live: participants.some((participant) => participant.state === 'ACTIVE' && isStream(participant)) } : undefined
}

/** Since when no user is in the room, as its stays tell: undefined while one is, null when none ever was. */
export function withoutUserSince (stays: Stay[]): Date | null | undefined {
  const users = stays.filter(isUser)
  if (users.some((stay) => !stay.left_at)) return undefined
  return users.reduce<Date | null>((last, { left_at: at }) => !last || at! > last ? at : last, null)
}

export interface Report {
  /** Who was seen to be in the room. */
  joined?: Participant[]
  /** Who was seen to have left, and when. `withRoom`: the room went and took it along. */
  left?: Array<Participant & { leftAt: Date, withRoom: boolean }>
  /** `joined` is everybody there is: whoever is not listed has left. */
  complete?: boolean
  /** The webhook's id, remembered with what it changed. */
  livekitId?: string
}

/** The clocks of LiveKit and of the replicas differ: who joined within this time before the list was asked for is not missed yet, ms. */
const JUST_JOINED = 5000
/** An agent that had stayed this long was a good one: losing it begins a new episode of dispatches. */
const GOOD_STAY = 60_000

/**
 * What a report changes. The same reports in any order, doubled or not, end in the same record:
 * each stay is the union of what was told of its sid, and the session's columns follow from its stays.
 * @param now when the report was made; of a list no later than when LiveKit was asked for it
 */
export function observe (session: Session, known: Stay[], report: Report, now: Date): Change {
  const stays = new Map(known.map((stay) => [stay.sid, stay]))
  const changed = new Map<string, Stay>()
  const events: NonNullable<Change['events']> = []
  const actor = report.livekitId ? 'livekit' : 'service'
  const put = (stay: Stay) => { stays.set(stay.sid, stay); changed.set(stay.sid, stay) }
  const tell = (what: 'joined' | 'left', stay: Stay, at: Date) => events.push({ at, type: `${isAgent(stay) ? 'agent' : 'participant'}.${what}` as SessionEvent['type'], actor, data: { identity: stay.identity }, livekit_id: report.livekitId })

  for (const participant of report.joined ?? []) {
    if (isHelper(participant)) continue
    const stay = stays.get(participant.sid)
    // Who is listed is there, whatever an earlier list made of it; but who LiveKit said has left does not come back under this sid.
    const missed = report.complete && stay?.left_at && !stay.left_told && !stay.with_room
    if (stay?.joined_at && !missed) continue
    // Who is reported in a session that is over came in before: its stay ended with the room, until told otherwise.
    const over = session.ended_at && !stay ? { left_at: session.ended_at, with_room: true } : {}
    const joined: Stay = { ...(stay ?? blank(participant)), joined_at: participant.joinedAt, ...(missed && { left_at: null }), ...over }
    put(joined)
    tell('joined', joined, participant.joinedAt)
  }
  for (const participant of report.left ?? []) {
    if (isHelper(participant)) continue
    const stay = stays.get(participant.sid)
    const lastWord = isAgent(participant) ? participant.attributes['session.end'] : undefined
    const left: Stay = { ...(stay ?? blank(participant)), left_at: participant.leftAt, left_told: true, with_room: participant.withRoom, hung_up: lastWord === 'agent', user_silent: lastWord === 'idle' }
    if (stay?.left_told) continue
    put(left)
    if (!stay?.left_at || (stay.with_room && !left.with_room)) tell('left', left, participant.leftAt)
  }
  if (report.complete) {
    const here = new Set((report.joined ?? []).map((participant) => participant.sid))
    for (const stay of stays.values()) {
      if (stay.left_at || here.has(stay.sid) || now.getTime() - (stay.joined_at?.getTime() ?? 0) < JUST_JOINED) continue
      const left = { ...stay, left_at: now }
      put(left)
      tell('left', left, now)
    }
  }

  return { stays: [...changed.values()], events, session: changed.size > 0 || report.complete ? columns(session, known, [...stays.values()]) : {} }
}

/** Stays after a change of some of them. */
export function merged (known: Stay[], changed: Stay[]): Stay[] {
  return [...known.filter((stay) => changed.every(({ sid }) => sid !== stay.sid)), ...changed]
}

/** The columns of a session that follow from who was in its room. */
function columns (session: Session, before: Stay[], after: Stay[]): Partial<Session> {
  const agents = after.filter(isAgent)
  const userJoinedAt = latest(after.filter(isUser))
  const agentJoinedAt = latest(agents)
  const change: Partial<Session> = { user_joined_at: userJoinedAt, agent_joined_at: agentJoinedAt }
  if (agents.length > 0 && session.state !== 'ended') {
    const known = new Map(before.map((stay) => [stay.sid, stay]))
    // Only news counts: a late word on an agent known to be gone must not hide that another was sent for.
    const gone = agents.filter((stay) => stay.left_at && !known.get(stay.sid)?.left_at)
    if (agents.some((stay) => !stay.left_at)) change.agent_state = 'joined'
    else if (gone.length > 0) change.agent_state = 'left'
    if (change.agent_state === 'left' && gone.some((stay) => stay.joined_at && stay.left_at!.getTime() - stay.joined_at.getTime() >= GOOD_STAY)) change.episode_dispatches = 0
  }
  // A user who comes back begins a new episode: an agent that had failed is sent for again (D2).
  if (session.user_joined_at && userJoinedAt && userJoinedAt > session.user_joined_at && session.agent_state !== 'none') {
    change.episode_dispatches = 0
    if (session.agent_state === 'failed') change.agent_state ??= 'left'
  }
  if (session.state === 'ended' && (session.end_reason === 'idle' || session.end_reason === 'lost')) {
    change.end_reason = whyGone(after) ?? session.end_reason
  }
  return change
}

/**
 * Why a room that nobody ended is gone, as far as its stays tell (section States of the design):
 * the agent hung up, or because its user kept silent, or it went with the user in it, or the user had left; undefined when no user was ever seen.
 */
export function whyGone (stays: Stay[]): 'agent' | 'lost' | 'idle' | undefined {
  if (stays.some((stay) => stay.hung_up)) return 'agent'
  if (stays.some((stay) => stay.user_silent)) return 'idle'
  const users = stays.filter(isUser)
  if (users.some((stay) => !stay.left_at || stay.with_room)) return 'lost'
  return users.length > 0 ? 'idle' : undefined
}

function blank ({ sid, identity, kind }: Participant): Stay {
  return { sid, identity, kind, joined_at: null, left_at: null, left_told: false, with_room: false, hung_up: false, user_silent: false }
}

function latest (stays: Stay[]): Date | null {
  return stays.reduce<Date | null>((last, { joined_at: at }) => at && (!last || at > last) ? at : last, null)
}
