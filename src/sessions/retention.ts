// How long what is over is kept: deletes it after RETENTION_DAYS, or as soon as it may go when its user wished so, in small batches.
import type { Clock } from './clock.ts'
import type { Log } from './log.ts'
import { createLoop } from './loop.ts'
import type { SessionStore } from './store.ts'

const BATCH = 500
const EVERY = 600_000 // ms
const DAY = 86_400_000 // ms

export interface RetentionDependencies { store: Pick<SessionStore, 'prune'>, clock: Clock, log: Log, days: number, /** Goes on with what users wished to be gone. */ sweep?: () => Promise<void> }

/** `prune` deletes all that is too old now, or was wished to be gone; `start` does so every ten minutes, until `stop`. Any number of replicas may. */
export function createRetention ({ store, clock, log, days, sweep = async () => {} }: RetentionDependencies) {
  async function prune (stopping?: AbortSignal) {
    const before = new Date(clock.now() - days * DAY)
    while (!stopping?.aborted && await store.prune(before, BATCH) === BATCH);
    if (!stopping?.aborted) await sweep()
  }

  return { prune, ...createLoop(EVERY, prune, (err) => log.error({ err }, 'pruning failed')) }
}

export type Retention = ReturnType<typeof createRetention>
