// How long what is over is kept: deletes it after RETENTION_DAYS, or as soon as it may go when its user wished so, in small batches.
import type { Clock } from './clock.ts'
import type { Log } from './log.ts'
import type { SessionStore } from './store.ts'

const BATCH = 500
const EVERY = 600_000 // ms
const DAY = 86_400_000 // ms

export interface RetentionDependencies { store: Pick<SessionStore, 'prune'>, clock: Clock, log: Log, days: number, /** Goes on with what users wished to be gone. */ sweep?: () => Promise<void> }

/** `prune` deletes all that is too old now, or was wished to be gone; `start` does so every ten minutes, until `stop`. Any number of replicas may. */
export function createRetention ({ store, clock, log, days, sweep = async () => {} }: RetentionDependencies) {
  let timer: NodeJS.Timeout | undefined

  async function prune () {
    const before = new Date(clock.now() - days * DAY)
    while (await store.prune(before, BATCH) === BATCH);
    await sweep()
  }

  return {
    prune,
    start () {
      timer = setInterval(() => prune().catch((err) => log.error({ err }, 'pruning failed')), EVERY).unref()
    },
    stop () {
      clearInterval(timer)
    }
  }
}

export type Retention = ReturnType<typeof createRetention>
