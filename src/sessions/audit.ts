// The audit trail, for what belongs to no change of a session: who was refused, who looked, which tokens were given out again.
import type { Call } from './caller.ts'
import type { Clock } from './clock.ts'
import { AdminOnly, NotYourSession, SessionNotFound } from './errors.ts'
import type { Session, SessionEvent, SessionStore } from './store.ts'
import type { EventType } from './vocabulary.ts'

const HOUR = 3_600_000 // ms
/** Repetitions counted at once; the one begun first is forgotten first. */
const REMEMBERED = 10_000

export type Audit = ReturnType<typeof createAudit>

/**
 * What can be repeated without end is written the 1st, 10th, 100th ... time in an hour, with its count: the trail cannot be flooded,
 * and nothing that matters is pushed out of sight. Each line is on record before the answer is.
 */
export function createAudit ({ store, clock }: { store: Pick<SessionStore, 'note' | 'byId'>, clock: Clock }) {
  const counts = new Map<string, number>()

  const note = (call: Call, session: Session | undefined, type: EventType, data: Record<string, unknown>, role: 'user' | 'admin' = 'user') =>
    store.note({ session_id: session?.id ?? null, user_id: session?.user_id ?? call.user.id, at: new Date(clock.now()), type, actor: `${role}:${call.user.id}`, data }, call.deadline)

  /** How often it has happened within this hour, if that is worth a line. */
  function worthALine (...what: unknown[]): number | undefined {
    const key = JSON.stringify([Math.floor(clock.now() / HOUR), ...what])
    const count = (counts.get(key) ?? 0) + 1
    if (count === 1 && counts.size >= REMEMBERED) counts.delete(counts.keys().next().value!)
    counts.set(key, count)
    return Number.isInteger(Math.log10(count)) ? count : undefined
  }

  async function denied (call: Call, session: Session | undefined, data: { operation: string } | { reason: string }): Promise<void> {
    const count = worthALine('denied', call.user.id, session?.id, data)
    if (count) await note(call, session, 'access.denied', count > 1 ? { ...data, count } : data)
  }

  /** The session is somebody else's; of one that is over the caller is told that there is none. @throws NotYourSession, SessionNotFound; both are on record */
  async function notYours (call: Call, session: Session, operation: string): Promise<never> {
    await denied(call, session, { operation })
    throw session.state === 'ended' ? new SessionNotFound() : new NotYourSession()
  }

  /** An administrator looked at what is not one's own. */
  async function read (call: Call, session: Session | undefined, data: Record<string, unknown>): Promise<void> {
    const count = worthALine('read', call.user.id, session?.id, data)
    if (count) await note(call, session, 'admin.read', count > 1 ? { ...data, count } : data, 'admin')
  }

  /** One's own session by its id, or anybody's for an administrator. @throws SessionNotFound, NotYourSession; what is refused is on record */
  async function find (call: Call, id: string, operation: string): Promise<Session> {
    const session = await store.byId(id, call.deadline)
    if (!session) throw new SessionNotFound()
    return session.user_id === call.user.id || call.user.admin ? session : notYours(call, session, operation)
  }

  return {
    notYours,
    read,
    find,

    /** The same, to be looked at: an administrator's look is on record. */
    async findToRead (call: Call, id: string, operation: string): Promise<Session> {
      const session = await find(call, id, operation)
      if (session.user_id !== call.user.id) await read(call, session, { operation })
      return session
    },

    /** A caller was refused: somebody else's session, a limit, a role that is missing. `data` says which. */
    denied,

    /** For what only administrators may do. @throws AdminOnly, which is on record */
    async onlyAdmin (call: Call, operation: string): Promise<void> {
      if (call.user.admin) return
      await denied(call, undefined, { operation })
      throw new AdminOnly()
    },

    /** The line about what an administrator changes that is no session: its store writes it with the change. */
    change: (call: Call, type: EventType, data: Record<string, unknown>): SessionEvent =>
      ({ session_id: null, user_id: call.user.id, at: new Date(clock.now()), type, actor: `admin:${call.user.id}`, data }),

    /** A token was given out again, by a rejoin or by the replay of a start. */
    issued: (call: Call, session: Session, data: Record<string, unknown> = {}) => note(call, session, 'token.issued', data)
  }
}
