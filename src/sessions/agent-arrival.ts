// Waiting for the agent of a room that is of no use without one (B6): LiveKit accepts a dispatch that no worker takes, without a word.
import type { Clock } from './clock.ts'
import { present } from './presence.ts'
import type { Rooms } from './rooms.ts'

const POLL = 100 // ms

/**
 * Waits until an agent is in the room and, where it shows an avatar, until that is ready.
 * @param until on the scale of the clock's `elapsed`; then an agent that is there, or that has taken the job, is good enough
 * @returns `there`; `failed` when the agent says that its avatar failed; `absent` when nobody came
 */
export async function agentArrival (livekit: Pick<Rooms, 'listParticipants' | 'listDispatches'>, clock: Clock, roomName: string, until: number): Promise<'there' | 'failed' | 'absent'> {
  for (;;) {
    const agent = present(await livekit.listParticipants(roomName, until + 1000)).find((participant) => participant.kind === 'AGENT')
    const avatar = agent?.attributes.avatar
    if (avatar === 'failed') return 'failed'
    if (agent && avatar !== 'starting') return 'there'
    if (clock.elapsed() + POLL >= until) {
      if (agent) return 'there'
      const dispatches = await livekit.listDispatches(roomName, until + 1000)
      return dispatches.some(({ agents }) => agents.length > 0) ? 'there' : 'absent'
    }
    await clock.sleep(POLL)
  }
}
