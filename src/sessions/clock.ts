// Time as the rules see it: one clock for decisions and SQL, so that a test may move it.

export interface Clock {
  /** Milliseconds since 1970: what is written into the record. */
  now: () => number
  /** Milliseconds on a scale that nobody sets: deadlines are on it. */
  elapsed: () => number
  /** Resolves `ms` milliseconds later. */
  sleep: (ms: number) => Promise<void>
}
