// A real Prometheus for tests and proofs: scrapes what it is told each second, with the rules that are delivered.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import { freeTcpPort } from '../livekit/livekit.ts'
import { find } from '../find.ts'

const rules = fileURLToPath(new URL('../../deploy/prometheus/*.rules.yml', import.meta.url))

export interface Alert { labels: Record<string, string>, state: 'pending' | 'firing', activeAt: string }
export interface Sample { metric: Record<string, string>, value: [number, string] }
export type Prometheus = Awaited<ReturnType<typeof startPrometheus>>

/** A job's targets; one for an address behind an exporter names its module and what that is to look at. */
export type Targets = Record<string, { targets: string[], exporter?: { module: string, looksAt: string } }>

/**
 * Starts Prometheus, which has to be on PATH.
 * @throws when it is not installed, or not ready within 20 s
 */
export async function startPrometheus (jobs: Targets) {
  const program = await find('prometheus')
  if (!program) throw new Error('prometheus is not installed')
  const folder = await mkdtemp(join(tmpdir(), 'prometheus-'))
  const port = await freeTcpPort()
  // JSON is YAML.
  await writeFile(join(folder, 'prometheus.yml'), JSON.stringify({
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: [rules],
    scrape_configs: Object.entries(jobs).map(([name, { targets, exporter }]) => ({
      job_name: name,
      static_configs: [{ targets }],
      ...(exporter && { metrics_path: '/probe', params: { module: [exporter.module], target: [exporter.looksAt] } })
    }))
  }))
  const child = spawn(program, [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`, `--web.listen-address=127.0.0.1:${port}`], { stdio: ['ignore', 'ignore', 'pipe'] })
  let printed = ''
  child.stderr.on('data', (chunk) => { printed += chunk })
  const gone = once(child, 'exit')
  const url = `http://127.0.0.1:${port}`
  const ask = async (path: string) => (await (await fetch(`${url}/api/v1/${path}`)).json() as { data: any }).data

  for (const began = performance.now(); ;) {
    if (await fetch(`${url}/-/ready`).then(({ ok }) => ok, () => false)) break
    if (child.exitCode !== null || performance.now() - began > 20_000) {
      child.kill('SIGKILL')
      throw new Error(`prometheus does not start:\n${printed}`)
    }
    await sleep(100)
  }
  return {
    url,
    /** What a query gives now; an error of the query is thrown. */
    async query (expression: string): Promise<Sample[]> {
      const response = await (await fetch(`${url}/api/v1/query?query=${encodeURIComponent(expression)}`)).json() as { status: string, error?: string, data: { result: Sample[] } }
      if (response.status !== 'success') throw new Error(`${expression}: ${response.error}`)
      return response.data.result
    },
    alerts: async (): Promise<Alert[]> => (await ask('alerts')).alerts,
    async stop () {
      child.kill('SIGTERM')
      await gone
      await rm(folder, { recursive: true, force: true })
    }
  }
}
