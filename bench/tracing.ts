// `npm run bench:tracing`: what tracing costs the service, off, at a tenth and of everything; with --before CHECKOUT beside another version of it.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Pool } from 'undici'
import { startCollector } from '../dev/observe/otlp.ts'
import { signUserToken } from '../dev/demo/token.ts'
import { median } from '../dev/prove/figures.ts'
import { cpuOf } from '../dev/prove/processes.ts'
import { benchParts } from './parts.ts'

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '7' }, cycles: { type: 'string', default: '150' }, before: { type: 'string' } }, allowPositionals: true })
/** Callers at once. */
const WIDTH = 4

// The collector is a process of its own: what it costs is not the service's.
if (process.argv[2] === 'collector') {
  const { url, spans } = await startCollector()
  process.send!(url)
  process.on('message', () => process.send!(String(spans.length)))
} else await main()

async function main () {
  const collector = fork(fileURLToPath(import.meta.url), ['collector'], { execArgv: process.execArgv })
  const [url] = await once(collector, 'message') as [string]
  const traced = (sampler: object) => ({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: url, ...sampler } })
  const variants: Record<string, { env?: NodeJS.ProcessEnv, checkout?: string }> = {
    ...(values.before && { before: { checkout: values.before } }),
    off: {},
    'a tenth': traced({ OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.1' }),
    all: traced({})
  }
  const all = []
  for (const [name, { env, checkout }] of Object.entries(variants)) {
    const parts = await benchParts(env, [], { checkout })
    all.push({ name, parts, pool: new Pool(parts.service.url, { connections: WIDTH }), cpu: [] as number[], ms: [] as number[] })
  }

  for (let round = -1; round < Number(values.rounds); round++) {
    for (const { parts, pool, cpu, ms } of all) {
      const user = (n: number) => `Bearer ${signUserToken(parts.secret, { sub: `user-${n}` })}`
      const call = async (n: number, method: 'GET' | 'POST' | 'DELETE', path: string) => {
        const { statusCode, body } = await pool.request({ path: `/api/v1/voice-sessions${path}`, method, headers: { authorization: user(n) } })
        const answer = await body.json() as any
        if (statusCode !== 200) throw new Error(`${method} ${path}: ${statusCode}`)
        return answer
      }
      const times: number[] = []
      const before = cpuOf(parts.service.pid)
      await Promise.all(Array.from({ length: WIDTH }, async (_, n) => {
        for (let cycle = 0; cycle < Number(values.cycles); cycle++) {
          const began = performance.now()
          const { room_name: room } = await call(n, 'POST', '/start')
          times.push(performance.now() - began)
          await call(n, 'GET', `/${room}/status`)
          await call(n, 'DELETE', `/${room}`)
        }
      }))
      if (round < 0) continue // to warm up
      cpu.push((cpuOf(parts.service.pid) - before) * 1000 / times.length)
      ms.push(median(times))
    }
  }

  collector.send('how many')
  const [spans] = await once(collector, 'message') as [string]
  console.log(`Start, status and end of ${values.cycles} x ${WIDTH} sessions, ${values.rounds} rounds in turn, medians (least to most); ${spans} spans were exported.\n`)
  console.log('| tracing | CPU of the service for the three calls and their webhooks, us | start, ms |\n|---|---|---|')
  const shown = (numbers: number[], digits: number) => `${median(numbers).toFixed(digits)} (${Math.min(...numbers).toFixed(digits)} to ${Math.max(...numbers).toFixed(digits)})`
  for (const { name, cpu, ms } of all) console.log(`| ${name} | ${shown(cpu, 0)} | ${shown(ms, 1)} |`)
  for (const { parts, pool } of all) await Promise.all([pool.close(), parts.sql.end()])
  for (const { parts } of all) await parts.stop()
  collector.kill()
  process.exit(0)
}
