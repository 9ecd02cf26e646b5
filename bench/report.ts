// `npm run bench:report`: writes the figures of bench/results into docs/performance.md, as tables and pictures, between the marks that name them.
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Floor } from './floor.ts'
import type { Results } from './service.ts'

const page = fileURLToPath(new URL('../docs/performance.md', import.meta.url))
const kept = async (name: string) => JSON.parse(await readFile(new URL(`results/${name}.json`, import.meta.url), 'utf8'))

interface Load { requests: number, failed: number, start: Record<string, number>, all: Record<string, number>, database: number, processes: Record<string, { cpu: number, memory: number, descriptors: number }> }

/** A picture that Markdown shows by itself: bars by name. */
function bars (title: string, unit: string, values: Record<string, number>): string {
  return ['```mermaid', 'xychart-beta', `  title "${title}"`, `  x-axis [${Object.keys(values).map((name) => `"${name}"`).join(', ')}]`, `  y-axis "${unit}" 0 --> ${Math.ceil(Math.max(...Object.values(values)) * 1.15)}`, `  bar [${Object.values(values).map((value) => value.toFixed(2)).join(', ')}]`, '```'].join('\n')
}

function table (head: string[], rows: Array<Array<string | number>>): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

const sections: Record<string, () => Promise<string>> = {
  async bench () {
    const { rows, lone, version, cores } = await kept('bench') as Results
    const ten = rows.filter(({ inFlight, sessions }) => inFlight === 10 && sessions === rows[0]!.sessions)
    return [
      `Version ${version}, ${cores} cores shared by everything. PostgreSQL's CPU cannot be told where some of its connections ended meanwhile.`,
      bars('CPU of the service for a request, 10 in flight', 'microseconds', Object.fromEntries(ten.map(({ operation, service }) => [operation, service.cpu.service]))),
      table(['operation', 'sessions', 'in flight', 'a second', 'of LiveKit alone', 'p50 ms', 'p99 ms', 'service us', 'PostgreSQL us', 'LiveKit us', 'LiveKit, of alone'], rows.map(({ operation, sessions, inFlight, service: s, livekit: l }) => [operation, sessions, inFlight, s.perSecond.toFixed(0), (s.perSecond / l.perSecond).toFixed(2), s.p50.toFixed(2), s.p99.toFixed(1), s.cpu.service, s.cpu.postgres < 0 ? '' : s.cpu.postgres, s.cpu.livekit, (s.cpu.livekit / Math.max(1, l.cpu.livekit)).toFixed(2)])),
      table(['a lone request', 'ms', 'its round trips, ms', 'ratio'], lone.map(({ operation, request, roundTrips }) => [operation, request.toFixed(2), roundTrips.toFixed(2), (request / roundTrips).toFixed(2)]))
    ].join('\n\n')
  },
  async floor () {
    const floor = await kept('floor') as Floor
    return table(['operation', 'in flight', 'CPU of the service, us', 'of its round trips alone, us', 'times', 'answered after, ms', 'its round trips alone, ms', 'times'], floor.map(({ operation, inFlight, service: s, bare: b }) => [operation, inFlight, s.cpu.toFixed(0), b.cpu.toFixed(0), (s.cpu / b.cpu).toFixed(2), s.ms.toFixed(2), b.ms.toFixed(2), (s.ms / b.ms).toFixed(2)]))
  },
  async load () {
    const load = await kept('load') as Record<string, Load>
    const levels = Object.entries(load).filter(([name]) => /^\d+$/.test(name))
    const cell = ({ cpu, memory, descriptors }: Load['processes'][string]) => `${cpu.toFixed(0)} %, ${memory.toFixed(0)} MB, ${descriptors}`
    return [
      bars('Half of all starts are answered within', 'ms', Object.fromEntries(levels.map(([users, { start }]) => [`${users} users`, start.med!]))),
      table(['users', 'requests', 'failed', 'start p50 / p95 / p99 ms', 'all p50 / p95 / p99 ms', 'service: CPU, memory, descriptors', 'LiveKit', 'database connections'], levels.map(([users, { requests, failed, start, all, processes, database }]) => [users, requests, failed, ...[start, all].map((one) => ['med', 'p(95)', 'p(99)'].map((key) => one[key]!.toFixed(0)).join(' / ')), cell(processes.service!), cell(processes.LiveKit!), database]))
    ].join('\n\n')
  }
}

let text = await readFile(page, 'utf8')
for (const [name, write] of Object.entries(sections)) {
  const written = await write()
  text = text.replace(new RegExp(`(<!-- ${name} -->)[^]*(<!-- /${name} -->)`), (_all, open: string, close: string) => `${open}\n\n${written}\n\n${close}`)
}
await writeFile(page, text)
