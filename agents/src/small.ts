// Keeps the job processes small, by settings of malloc and V8 that they take over from the worker's own process.

/** Arenas of malloc in each process; its default is eight for each core, and each keeps what it once had. */
const ARENAS = 2

/** MB of V8's young space, of which there may be three. Its default, 16, is filled with what nobody needs any more before any of it is collected. */
const YOUNG_SPACE = 2

/**
 * To be called before the first of them is forked: they inherit environment and options. What the operator has set stands.
 * What it gives, and that it costs no answer: docs/agents-performance.md.
 */
export function keepJobsSmall (): void {
  process.env.MALLOC_ARENA_MAX ||= String(ARENAS)
  const options = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].join(' ')
  if (!/max[-_]semi[-_]space[-_]size/.test(options)) process.execArgv.push(`--max-semi-space-size=${YOUNG_SPACE}`)
}
