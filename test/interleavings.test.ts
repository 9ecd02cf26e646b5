// Every window between any two awaits: start, end, rejoin, status, list, webhooks, looks, crashes and two replicas, in any order.
import fc from 'fast-check'
import t from 'tap'
import { faults, interleavings } from '../dev/model/scenario.ts'

const RUNS = 1000
/** The fault of the first release shows within the 1,000; those that need a rarer meeting within some more. */
const PATIENCE = 10_000

t.test(`no order of ${RUNS} schedules breaks a promise`, { timeout: 120_000 }, async (t) => {
  await fc.assert(interleavings(), { numRuns: RUNS })
  t.pass(`${RUNS} schedules`)
})

for (const [name, fault] of Object.entries(faults)) {
  t.test(`would be found: ${name}`, { timeout: 240_000 }, async (t) => {
    const result = await fc.check(interleavings(fault, false), { numRuns: fault.at ? PATIENCE : RUNS, endOnFailure: true })
    t.ok(result.failed, `after ${result.numRuns} schedules`)
    t.equal((result.errorInstance as Error | null)?.name, 'Broken', String(result.errorInstance))
    t.comment(String(result.errorInstance))
  })
}
