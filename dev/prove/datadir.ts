// `npm run prove:datadir`: 20 times two services at once on a fresh DATA_DIR, and 20 times one that is killed while it makes its database.
import { chmod, mkdtemp, readdir, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomBytes } from 'node:crypto'
import { startAnyLiveKit } from '../livekit/any-livekit.ts'
import { claim, prove, seconds, sleep } from './proof.ts'
import { startService } from './service.ts'

const TIMES = 20
const livekit = await startAnyLiveKit({ log: console.log })
let early = 0
let slowest = 0
const env = { LIVEKIT_URL: livekit.url, LIVEKIT_API_KEY: livekit.apiKey, LIVEKIT_API_SECRET: livekit.apiSecret, JWT_SECRET: randomBytes(32).toString('hex') }

/** Runs `round` on fresh folders of these modes, by turns, and counts those that did not go as they should. */
async function rounds (what: string, modes: number[], round: (dataDir: string, n: number) => Promise<string | undefined>) {
  const began = performance.now()
  const wrong: string[] = []
  for (let n = 0; n < TIMES; n++) {
    const folder = await mkdtemp(join(tmpdir(), 'prove datadir-'))
    await chmod(folder, modes[n % modes.length]!)
    const said = await round(join(folder, 'data'), n).catch((error: Error) => error.message)
    if (said) wrong.push(said)
    const elsewhere = await realpath(join(folder, 'data', 'database')).catch(() => folder)
    for (const path of [elsewhere, folder]) await rm(path, { recursive: true, force: true })
  }
  claim(what, wrong.length === 0, `${TIMES - wrong.length} of ${TIMES} times, ${seconds(performance.now() - began)}${wrong.map((said) => `\n${said}`).join('')}`)
}

await prove({
  'two services at once': () => rounds('one serves, the other says that DATA_DIR is in use, and the next start works', [0o700, 0o711], async (dataDir) => {
    const both = await Promise.allSettled([1, 2].map(() => startService({ ...env, DATA_DIR: dataDir })))
    const serving = both.flatMap((one) => one.status === 'fulfilled' ? [one.value] : [])
    const refused = both.flatMap((one) => one.status === 'rejected' ? [(one.reason as Error).message] : [])
    const codes = []
    for (const service of serving) {
      slowest = Math.max(slowest, service.readyAfter)
      codes.push(await service.stop())
    }
    const next = await startService({ ...env, DATA_DIR: dataDir })
    codes.push(await next.stop())
    const left = await readdir(dataDir)
    if (serving.length !== 1 || !refused[0]?.includes('is in use by another process') || codes.some((code) => code !== 0) || left.length !== 1) return `${serving.length} served; exit codes ${codes.join(' ')}; ${left.join(' ')}; refused: ${refused.join('\n')}`
  }).then(() => claim('ready after', slowest < 30_000, `${seconds(slowest)} at most`)),

  'killed while it makes its database': () => rounds('the next start works', [0o711], async (dataDir, n) => {
    const killed = new AbortController()
    const first = startService({ ...env, DATA_DIR: dataDir }, { killed: killed.signal }).catch(() => {})
    while ((await readdir(dataDir).catch(() => [])).length === 0) await sleep(5)
    await sleep(n * 75) // making takes 1 to 2 s
    killed.abort()
    await first
    if (!(await readdir(dataDir)).includes('database')) early++
    const next = await startService({ ...env, DATA_DIR: dataDir })
    const code = await next.stop()
    if (code !== 0) return `exit code ${code}`
  }).then(() => claim('killed before it was whole', early > TIMES / 4, `${early} of ${TIMES}`))
})
