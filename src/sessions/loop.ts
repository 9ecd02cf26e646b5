// Work that comes again and again: one round at a time, however long it takes.

/**
 * @param every how often a round begins, ms; while one goes on, no other does
 * @param failed told of a round that failed: the next one comes all the same
 */
export function createLoop (every: number, work: () => Promise<void>, failed: (err: unknown) => void) {
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> | undefined

  return {
    /** Goes on until `stop`. Any number of replicas may. */
    start () {
      timer = setInterval(() => {
        running ??= work().catch(failed).finally(() => { running = undefined })
      }, every).unref()
    },
    /** Waits for the round that is under way. */
    async stop () {
      clearInterval(timer)
      await running
    }
  }
}
