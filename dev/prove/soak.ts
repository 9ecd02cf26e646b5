// `npm run prove:soak -- --minutes 10`: starts, looks, ends, webhooks and passes at half load for as long as wanted (60 when not given); what the service holds must not grow.
// Growth is a slope with its error over the second half of the time: a figure, not an impression.
import { parseArgs } from 'node:util'
import { claim, neighbourhood, prove, sleep } from './proof.ts'
import { percentile, slope } from './figures.ts'
import { holdingOf } from './processes.ts'
import { startTraffic, statuses } from './traffic.ts'

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '60' }, users: { type: 'string', default: '50' } }, allowPositionals: true })
const MINUTES = Number(values.minutes)
const EVERY = 5000 // ms between two looks
const PAUSE = 250 // ms between two requests of a user

/** What one hour may add, each; memory in MB. A garbage collector's own waves are within it. */
const LIMITS = { memory: 20, descriptors: 10, threads: 2, connections: 5, live: 20 }

process.argv.splice(2) // what is left is no name of a part
await prove({
  async [`${MINUTES} minutes at half load`] () {
    const { service, secret, query } = await neighbourhood({ built: true, env: { RECONCILE_INTERVAL: '5', LOG_LEVEL: 'warn', NODE_ENV: 'production' } })
    const traffic = startTraffic({ url: service.url, secret, users: Number(values.users), pause: PAUSE })
    const points: Array<Record<keyof typeof LIMITS, number> & { x: number }> = []
    const began = performance.now()
    while (performance.now() - began < MINUTES * 60_000) {
      await sleep(EVERY)
      const { memory, descriptors, threads } = holdingOf(service.pid)
      const [row] = await query('select (select count(*)::int from pg_stat_activity where datname = current_database()) as connections, (select count(*)::int from sessions where state in (\'starting\', \'live\', \'ending\')) as live')
      points.push({ x: (performance.now() - began) / 3_600_000, memory, descriptors, threads, ...row })
      if (points.length % 12 === 0) console.log(`  ${Math.round((performance.now() - began) / 60_000)} min: ${memory.toFixed(0)} MB, ${descriptors} descriptors, ${row.live} live, ${traffic.samples.length} requests`)
    }
    const half = traffic.samples.length / 2
    const [first, second] = [traffic.samples.slice(0, half), traffic.samples.slice(half)].map((samples) => percentile(samples.map(({ ms }) => ms), 0.99))
    await traffic.stop()
    const took = (performance.now() - began) / 1000
    console.log(`  ${traffic.samples.length} requests, ${(traffic.samples.length / took).toFixed(0)} a second, CPU ${(holdingOf(service.pid).cpu / took / 10).toFixed(0)} % of a core; ${statuses(traffic.samples)}`)
    claim('every request was answered as it should be', traffic.samples.every(({ status }) => status === 200))
    console.log(`  p99 ${first!.toFixed(0)} ms in the first half, ${second!.toFixed(0)} ms in the second`)

    const late = points.slice(points.length / 2)
    for (const [name, limit] of Object.entries(LIMITS) as Array<[keyof typeof LIMITS, number]>) {
      const { slope: perHour, error } = slope(late.map((point) => ({ x: point.x, y: point[name] })))
      // A slope that is no larger than twice its error is none that was seen.
      claim(`${name} does not grow`, perHour - 2 * error <= limit, `${perHour.toFixed(1)} ± ${(2 * error).toFixed(1)} an hour, ${late.at(-1)![name].toFixed(0)} at the end`)
    }
    const [{ rows, events }] = await query('select (select count(*)::int from sessions) as rows, (select count(*)::int from session_events) as events')
    const [{ overdue }] = await query('select count(*)::int as overdue from sessions where next_check_at < now() - interval \'30 s\'')
    claim('no look is overdue', overdue === 0, `${overdue}; ${rows} sessions with ${events} events`)
  }
})
