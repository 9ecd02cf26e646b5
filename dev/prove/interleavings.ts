// `npm run prove:interleavings -- --runs 100000`: schedules of start, end, rejoin, status, list, webhooks, looks and crashes, any step between any two.
// `--put-back webhook` runs them with an old fault in place, `--seed N --path P` runs one again.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import fc from 'fast-check'
import { faults, interleavings } from '../model/scenario.ts'

const BATCH = 500

interface Report { runs: number, failure?: string }

const { values } = parseArgs({ options: { runs: { type: 'string', default: '100000' }, 'put-back': { type: 'string' }, seed: { type: 'string' }, path: { type: 'string' } } })
const runs = Number(values.runs)
const [name, fault] = Object.entries(faults).find(([name]) => values['put-back'] && name.includes(values['put-back'])) ?? []
if (!Number.isInteger(runs) || runs < 1) throw new Error('--runs takes a number')
if (values['put-back'] && !fault) throw new Error(`--put-back takes a part of one of these:\n  ${Object.keys(faults).join('\n  ')}`)

if (process.send) await work(runs)
else if (values.path !== undefined) {
  const result = await fc.check(interleavings(fault), { seed: Number(values.seed), path: values.path })
  console.log(result.failed ? told(result) : 'It holds.')
} else await lead()

/** The smallest schedule that was found, and what it breaks. */
function told<Ts> (result: fc.RunDetails<Ts>): string {
  return `${fc.defaultReportMessage(result)}\n\n${(result.errorInstance as Error | null)?.message ?? ''}`
}

/** One of several processes: batch after batch, until it has done its share or found something. */
async function work (share: number) {
  for (let done = 0; done < share; done += BATCH) {
    const result = await fc.check(interleavings(fault), { numRuns: Math.min(BATCH, share - done) })
    const report: Report = { runs: result.numRuns, ...(result.failed && { failure: told(result) }) }
    await new Promise((resolve) => process.send!(report, resolve))
    if (result.failed) break
  }
  process.disconnect()
}

async function lead () {
  const width = Math.min(availableParallelism(), Math.ceil(runs / BATCH))
  console.log(`${runs} schedules in ${width} processes${name ? `, with a fault put back: ${name}` : ''}`)
  const began = performance.now()
  let done = 0
  let failure: string | undefined
  const children = Array.from({ length: width }, (_, n) => {
    const share = Math.floor(runs / width) + (n < runs % width ? 1 : 0)
    const child = fork(fileURLToPath(import.meta.url), ['--runs', String(share), ...(values['put-back'] ? ['--put-back', values['put-back']] : [])], { execArgv: ['--import=tsx'] })
    child.on('message', (report: Report) => {
      done += report.runs
      failure ??= report.failure
      if (failure) for (const other of children) other.kill()
    })
    return child
  })
  const progress = setInterval(() => { console.log(`  ${done} done after ${Math.round((performance.now() - began) / 1000)} s`) }, 10_000)
  const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit') as [number | null])[0]))
  clearInterval(progress)
  if (failure) console.log(failure)
  else if (codes.some((code) => code !== 0)) throw new Error('a process of the proof ended before its time')
  console.log(`${done} schedules, ${failure ? 'a violation found' : '0 violations'}, ${Math.round((performance.now() - began) / 1000)} s`)
  process.exit(Boolean(failure) === Boolean(fault) ? 0 : 1)
}
