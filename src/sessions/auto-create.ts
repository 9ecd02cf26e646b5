// Whether this LiveKit lets the token of a deleted room make it anew (`room.auto_create`): found out once, and warned of (D1).
import type { Clock } from './clock.ts'
import type { Log } from './log.ts'
import type { Rooms } from './rooms.ts'

const LIMIT = 1000 // ms that the boot waits for the answer
const AGAIN = 10_000 // ms until a server that could not be asked is asked again
const ANEW = 60_000 // ms until it is asked anew: it may have been restarted with another configuration

export interface AutoCreateDependencies { livekit: Pick<Rooms, 'autoCreates'>, clock: Clock, log: Log }

/** Until it is known, ended rooms are watched as if it were on. */
export function createAutoCreate ({ livekit, clock, log }: AutoCreateDependencies) {
  let known: boolean | undefined
  let timer: NodeJS.Timeout | undefined
  let isStopped = false

  return {
    /** Asks now, and goes on asking in the background. */
    async find (): Promise<void> {
      let wait = ANEW
      try {
        const before = known
        known = await livekit.autoCreates(clock.elapsed() + LIMIT)
        if (known && !before) log.warn({}, 'this LiveKit server has room.auto_create on: whoever holds a token of an ended session can enter for a moment. Turn it off on a server of your own.')
      } catch {
        wait = AGAIN
      }
      if (!isStopped) timer = setTimeout(() => this.find(), wait).unref()
    },
    isOn: () => known ?? true,
    stop () {
      isStopped = true
      clearTimeout(timer)
    }
  }
}
