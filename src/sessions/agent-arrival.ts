// Waiting for the agent of a room that is of no use without one (B6): LiveKit accepts a dispatch that no worker takes, without a word.
import type { Clock } from './clock.ts'
import { present } from './presence.ts'
import type { Rooms } from './rooms.ts'

/** LiveKit gives out a job 200 ms after its room is created, no sooner (livekit.md section 4), ms. */
const FIRST_LOOK = 200
/** From then on, should no webhook say anything: longer each time, ms. */
const PAUSES = [100, 150, 250]

/** `there`; `failed` when the agent says that its avatar failed; `absent` when nobody came. */
export type Arrival = 'there' | 'failed' | 'absent'

export type AgentArrival = ReturnType<typeof createAgentArrival>

export function createAgentArrival ({ livekit, clock }: { livekit: Pick<Rooms, 'listParticipants' | 'listDispatches'>, clock: Clock }) {
  const waiting = new Map<string, () => void>()

  return {
    /** A webhook told of an agent in this room: whoever waits for it here looks at once. */
    told (roomName: string): void {
      waiting.get(roomName)?.()
    },

    /**
     * Waits until an agent is in the room and, where it shows an avatar, until that is ready.
     * @param until on the scale of the clock's `elapsed`; then an agent that is there, or that has taken the job, is good enough
     */
    async wait (roomName: string, until: number): Promise<Arrival> {
      try {
        for (let look = 0; ; look++) {
          const pause = look === 0 ? FIRST_LOOK : PAUSES[Math.min(look, PAUSES.length) - 1]!
          const isLast = clock.elapsed() + pause >= until
          if (!isLast) await Promise.race([clock.sleep(pause), new Promise<void>((resolve) => { waiting.set(roomName, resolve) })])
          const agent = present(await livekit.listParticipants(roomName, until + 1000)).find((participant) => participant.kind === 'AGENT')
          const avatar = agent?.attributes.avatar
          if (avatar === 'failed') return 'failed'
          if (agent && (avatar !== 'starting' || isLast)) return 'there'
          if (isLast) {
            const dispatches = await livekit.listDispatches(roomName, until + 1000)
            return dispatches.some(({ agents }) => agents.length > 0) ? 'there' : 'absent'
          }
        }
      } finally {
        waiting.delete(roomName)
      }
    }
  }
}
