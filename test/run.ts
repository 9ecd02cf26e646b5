// `npm test`, its last part: one PostgreSQL and one LiveKit binary for the run, all test files, the coverage they must reach.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findLiveKit } from '../dev/livekit/livekit.ts'
import { startPostgres } from '../dev/postgres.ts'

const LINES = 95 // % of lines that have to be covered when all tests run
const files = process.argv.slice(2)
const env: NodeJS.ProcessEnv = { ...process.env }
const say = (line: string) => console.log(line)

if (env.LIVEKIT_EMULATOR !== '1') {
  try {
    const { binary, version, from } = await findLiveKit({ log: say })
    say(`Tests run on a real LiveKit ${version} (${from}).`)
    env.LIVEKIT_SERVER_BIN = binary
  } catch (error) {
    say(`Tests run on the LiveKit emulator, those that need media fail: ${(error as Error).message}`)
    env.LIVEKIT_EMULATOR = '1'
  }
}

const folder = await mkdtemp(join(tmpdir(), 'sessions-tests-'))
const postgres = env.TEST_DATABASE_URL ? undefined : await startPostgres()
env.TEST_DATABASE_URL ??= postgres!.url

let failed = true
try {
  const results = join(folder, 'results.tap')
  // In a terminal tap shows how far it is; elsewhere each file that is done is a line, and what failed follows.
  const reporter = process.stdout.isTTY ? 'terse' : 'silent'
  const tap = spawn('npx', ['tap', `--reporter=${reporter}`, `--output-file=${results}`, ...files], { stdio: 'inherit', env })
  const [code] = await once(tap, 'exit') as [number]
  const output = await readFile(results, 'utf8').catch(() => '')
  const counts = summary(output)
  if (!process.stdout.isTTY) for (const line of output.match(/^(not )?ok .*$/gm) ?? []) say(line)
  for (const failure of output.match(/^ +not ok .*\n(?: +---\n(?:.*\n)*? +\.\.\.\n)?/gm) ?? []) say(failure)
  const covered = files.length === 0 ? await coverage() : undefined
  if (covered !== undefined) say(`Lines covered: ${covered} % (at least ${LINES} % asked for)`)
  failed = code !== 0 || counts.passed === 0 || counts.failed > 0 || (covered !== undefined && covered < LINES)
  say(`${counts.passed} passed, ${counts.failed} failed`)
} finally {
  await postgres?.stop()
  await rm(folder, { recursive: true, force: true })
}
process.exit(failed ? 1 : 0)

/** Assertions, as the last comment of tap's own output counts them. */
function summary (tap: string): { passed: number, failed: number } {
  const last = tap.match(/^# \{ total: .*\}$/gm)?.at(-1) ?? ''
  const count = (name: string) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(last)?.[1] ?? 0)
  return { passed: count('pass'), failed: count('fail') }
}

/**
 * Lines of the service that the run covered, in percent. The source maps that tap collects come without their sources:
 * with them filled in, its report knows our lines.
 */
async function coverage (): Promise<number> {
  const root = new URL('..', import.meta.url).href
  const ours = new RegExp(`^${root}(src|plugins|routes)/`)
  for (const name of await readdir('.tap/coverage')) {
    const file = `.tap/coverage/${name}`
    const collected = JSON.parse(await readFile(file, 'utf8')) as Collected
    collected.result = collected.result.filter(({ url }) => ours.test(url))
    for (const [url, { data }] of Object.entries(collected['source-map-cache'])) {
      if (ours.test(url)) data.sourcesContent = [await readFile(fileURLToPath(url), 'utf8')]
      else delete collected['source-map-cache'][url]
    }
    await writeFile(file, JSON.stringify(collected))
  }
  const [code] = await once(spawn('npx', ['tap', 'report', 'json-summary', 'text'], { stdio: ['ignore', 'ignore', 'inherit'], env }), 'exit')
  if (code === null) throw new Error('tap report was ended')
  const report = JSON.parse(await readFile('.tap/report/coverage-summary.json', 'utf8')) as { total: { lines: { pct: number } } }
  return report.total.lines.pct
}

interface Collected { result: Array<{ url: string }>, 'source-map-cache': Record<string, { data: { sourcesContent: string[] } }> }
