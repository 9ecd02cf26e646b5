// Whether an agent has to be sent for, sent away, or given up (D2): one pure decision.
import { present } from './presence.ts'
import type { Participant } from './rooms.ts'
import type { Session } from './store.ts'

export interface WatchdogLimits {
  /** Seconds until an agent counts as missing. */
  joinTimeout: number
  /** Dispatches per episode, the first included. */
  maxDispatches: number
}

export type Verdict =
  /** Nothing to do before `at`; undefined = until something happens. */
  | { do: 'wait', at?: Date }
  | { do: 'dispatch' }
  | { do: 'fail' }
  /** More than one agent: the first one stays. */
  | { do: 'remove', agents: Participant[] }

/** How long two agents could go unseen when webhooks are lost, after a second dispatch: look again this soon, this long. */
const SECOND_AGENT_LOOK = 1000
const SECOND_AGENT_RISK = 30_000

/**
 * Decides on what LiveKit lists now.
 * An agent seen leaving is replaced at once; one that never came after AGENT_JOIN_TIMEOUT, then after twice that, three times...
 * counted from the user's join or the last dispatch, whichever was later. Nothing is done in a room without its user.
 */
export function watchAgent (session: Session, participants: Participant[], limits: WatchdogLimits, now: Date): Verdict {
  if (session.agent_state === 'none') return { do: 'wait' }
  const counted = present(participants)
  const agents = counted.filter((participant) => participant.kind === 'AGENT')
  const soon = session.episode_dispatches > 1 && session.agent_dispatched_at && now.getTime() - session.agent_dispatched_at.getTime() < SECOND_AGENT_RISK
    ? new Date(now.getTime() + SECOND_AGENT_LOOK)
    : undefined
  if (agents.length > 1) return { do: 'remove', agents: agents.slice(1) }
  if (agents.length === 1) return { do: 'wait', at: soon }
  const user = counted.find((participant) => participant.kind !== 'AGENT')
  if (!user || session.agent_state === 'failed') return { do: 'wait' }

  // Told of it, but not listed: one of the two is older. Ask again before deciding.
  if (session.agent_state === 'joined') return { do: 'wait', at: new Date(now.getTime() + SECOND_AGENT_LOOK) }
  if (session.agent_state === 'dispatched') {
    const since = Math.max(user.joinedAt.getTime(), session.agent_dispatched_at?.getTime() ?? 0)
    const due = since + limits.joinTimeout * 1000 * Math.max(1, session.episode_dispatches)
    if (now.getTime() < due) return { do: 'wait', at: soon && soon.getTime() < due ? soon : new Date(due) }
  }
  return session.episode_dispatches >= limits.maxDispatches ? { do: 'fail' } : { do: 'dispatch' }
}
