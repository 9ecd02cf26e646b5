// Builds a server with Go into a folder, once, whoever asks at the same time: LiveKit's own, and those that proofs need beside it.
import { execFile, spawn } from 'node:child_process'
import { mkdir, mkdtemp, open, rename, rm, stat, utimes } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

const BEAT = 5000 // ms between two progress lines, each of which also touches the lock
const STALE = 3 * BEAT // a lock nobody touched for so long belongs to a builder that died

/** Where a build says what it is doing, one line at a time. */
export type Log = (line: string) => void

export interface BuildOptions {
  /** Path of a package, or of the module when `within` says which of its packages. */
  module: string
  version: string
  target: string
  log: Log
  /** A package inside the module, built in the module's own folder: `go install` refuses modules with a `replace`. */
  within?: string
}

/**
 * Builds `module` at `version` so that `target` is its executable file; returns at once when it already is.
 * A second builder of the same target waits for the first one and says so. Two to six minutes with an empty Go cache.
 * @throws an Error that carries the last lines of go, or says what to install when there is no Go.
 */
export async function buildLiveKit ({ module, version, target, log, within }: BuildOptions): Promise<void> {
  await mkdir(dirname(target), { recursive: true })
  const lock = `${target}.lock`
  for (let waiting = false; !await exists(target); waiting = true) {
    if (await take(lock)) {
      try {
        // The other builder may have finished between our look at the target and taking the lock.
        if (!await exists(target)) await install({ module, version, target, log, within }, lock)
        return
      } finally {
        await rm(lock, { force: true })
      }
    }
    if (!waiting) log(`another process is building LiveKit ${version}: waiting for it (${lock})`)
    await sleep(500)
  }
}

async function install ({ module, version, target, log, within }: BuildOptions, lock: string): Promise<void> {
  const what = `${module}@${version}`
  const bin = await mkdtemp(`${target}-`)
  const started = Date.now()
  let packages = 0
  let doing = 'starting'
  const tail: string[] = []
  const beat = setInterval(() => {
    utimes(lock, new Date(), new Date()).catch(() => {})
    log(`building LiveKit, ${Math.round((Date.now() - started) / 1000)} s: ${packages} packages compiled, ${doing}`)
  }, BEAT)
  try {
    // GOBIN is a folder of its own: an interrupted or failed build leaves nothing where the finder looks.
    const env = { ...process.env, GOBIN: bin, GOTOOLCHAIN: 'local' }
    const name = basename(within ?? module)
    const cwd = within && await folderOf(what, env)
    const args = within ? ['build', '-v', '-o', join(bin, name), within] : ['install', '-v', what]
    const go = spawn('go', args, { cwd, env, stdio: ['ignore', 'ignore', 'pipe'] })
    createInterface({ input: go.stderr }).on('line', (line) => {
      tail.push(line)
      if (tail.length > 20) tail.shift()
      const download = /^go: (downloading .*)/.exec(line)
      if (!download) packages++
      doing = download ? download[1]! : `now ${line}`
    })
    const code = await new Promise<number | null>((resolve, reject) => go.once('error', reject).once('close', resolve))
    if (code !== 0) throw new Error(`go ${args[0]} ${what} failed with code ${code}:\n${tail.join('\n')}`)
    await rename(join(bin, name), target)
    log(`built LiveKit in ${Math.round((Date.now() - started) / 1000)} s: ${target}`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw new Error('No LiveKit server here and no Go to build one: install Go 1.26 or newer (https://go.dev/dl), ' +
      'or put livekit-server on PATH, or name its file in LIVEKIT_SERVER_BIN.', { cause: error })
  } finally {
    clearInterval(beat)
    await rm(bin, { recursive: true, force: true })
  }
}

/** Where Go keeps the source of a module; it is fetched when it is not there. */
async function folderOf (what: string, env: NodeJS.ProcessEnv): Promise<string> {
  const { stdout } = await promisify(execFile)('go', ['mod', 'download', '-json', what], { env })
  return JSON.parse(stdout).Dir
}

/** Takes the lock file, or removes a stale one and says no: the caller asks again. Two that build after all do no harm, the rename is atomic. */
async function take (lock: string): Promise<boolean> {
  try {
    await (await open(lock, 'wx')).close()
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    const touched = (await stat(lock).catch(() => undefined))?.mtimeMs
    if (touched !== undefined && Date.now() - touched > STALE) await rm(lock, { force: true })
    return false
  }
}

async function exists (path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined
}
