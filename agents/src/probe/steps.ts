// The steps of the probe's call, and what came of them.

/** In their order. `sound`: the agent's first one, a greeting; `answer`: what comes back to what was said. */
export const steps = ['start', 'join', 'agent', 'sound', 'answer', 'status', 'end', 'closed', 'refused'] as const
export type Step = typeof steps[number]

export interface Outcome {
  ok: boolean
  /** Where it failed, and why. */
  step?: Step
  reason?: string
  /** Milliseconds that each step took; `agent` and `sound` count from the start, `answer` from the first word said. */
  times: Partial<Record<Step, number>>
  /** Milliseconds of it all. */
  total: number
}
