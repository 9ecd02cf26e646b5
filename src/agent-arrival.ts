// Waiting for the agent of a room that is of no use without one (B6): LiveKit accepts a dispatch that no worker takes, without a word.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Participant } from '../plugins/livekit/participants.ts'
import { present } from './presence.ts'

const POLL = 100 // ms

export interface ArrivalRooms {
  listParticipants: (name: string, deadline: number) => Promise<Participant[]>
  listDispatches: (name: string, deadline: number) => Promise<Array<{ agents: string[] }>>
}

/**
 * Waits until an agent is in the room and, where it shows an avatar, until that is ready.
 * @param until on the scale of performance.now(); then an agent that is there, or that has taken the job, is good enough
 * @returns `there`; `failed` when the agent says that its avatar failed; `absent` when nobody came
 */
export async function agentArrival (livekit: ArrivalRooms, roomName: string, until: number): Promise<'there' | 'failed' | 'absent'> {
  for (;;) {
    const agent = present(await livekit.listParticipants(roomName, until + 1000)).find((participant) => participant.kind === 'AGENT')
    const avatar = agent?.attributes.avatar
    if (avatar === 'failed') return 'failed'
    if (agent && avatar !== 'starting') return 'there'
    if (performance.now() + POLL >= until) {
      if (agent) return 'there'
      const dispatches = await livekit.listDispatches(roomName, until + 1000)
      return dispatches.some(({ agents }) => agents.length > 0) ? 'there' : 'absent'
    }
    await sleep(POLL)
  }
}
