// One's own session behind the name of its room, and what everybody else is told.
import type { Audit } from './audit.ts'
import type { Call } from './caller.ts'
import { SessionNotFound } from './errors.ts'
import type { Session, SessionStore } from './store.ts'
import { noTracing, type Tracing } from './tracing.ts'
import type { ModeName } from './vocabulary.ts'

export interface OwnDependencies { store: Pick<SessionStore, 'byRoom'>, audit: Audit, tracing?: Tracing }

/**
 * Finds the caller's session: 404 for all when there is none in these states, 403 for others while it lives (A4.2, A4.3).
 * @param modeName any mode when not given
 * @throws SessionNotFound, NotYourSession
 */
export function createOwn ({ store, audit, tracing = noTracing }: OwnDependencies) {
  return async (call: Call, modeName: ModeName | undefined, roomName: string, states: Array<Session['state']>): Promise<Session> => {
    const session = await store.byRoom(roomName, call.deadline)
    const isMine = session?.user_id === call.user.id
    if (!session || (modeName && session.mode !== modeName) || !(isMine ? states : ['live']).includes(session.state)) throw new SessionNotFound()
    if (!isMine) return audit.notYours(call, session, 'session')
    tracing.about(session)
    return session
  }
}
