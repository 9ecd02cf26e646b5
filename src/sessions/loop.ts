// Work that comes again and again: one round at a time, however long it takes, and no further at a stop.

/** How long a stop waits for what is under way, ms. What it has taken is leased: whoever comes next takes it when it is due again. */
const PATIENCE = 2000

/**
 * @param every how often a round begins, ms; while one goes on, no other does
 * @param work a round; it takes nothing more once `stopping` is aborted
 * @param failed told of a round that failed, but for one that was stopped: the next one comes all the same
 */
export function createLoop (every: number, work: (stopping: AbortSignal) => Promise<void>, failed: (err: unknown) => void) {
  const stopping = new AbortController()
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> | undefined

  return {
    /** Goes on until `stop`. Any number of replicas may. */
    start () {
      timer = setInterval(() => {
        running ??= work(stopping.signal).catch((err) => { if (!stopping.signal.aborted) failed(err) }).finally(() => { running = undefined })
      }, every).unref()
    },
    /** Gives the round that is under way a moment. */
    async stop () {
      clearInterval(timer)
      stopping.abort()
      await aMomentFor(running)
    }
  }
}

/** Waits for what is under way at a stop, but not for ever. */
export async function aMomentFor (work: Promise<unknown> | undefined): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  await Promise.race([work, new Promise<void>((resolve) => { timer = setTimeout(resolve, PATIENCE) })])
  clearTimeout(timer)
}
