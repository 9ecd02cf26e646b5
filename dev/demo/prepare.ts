// A package beside the service, for the demo: installed and built on first use, and again when its lock file or sources are others.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { access, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A package: its folder in the repository, what to call it, how large it is, a file of its build, and where its sources are. */
export interface Package { folder: string, name: string, size: string, built: string, sources: string[], args?: string[] }

/** Installs and builds a package unless it is there as its lock file and sources have it; `say` tells how far it is. */
export async function prepare ({ folder: name, name: what, size, built, sources, args = [] }: Package, say: (line: string) => void): Promise<string> {
  const folder = fileURLToPath(new URL(`../../${name}/`, import.meta.url))
  if (!await isInstalled(folder)) await run(folder, ['ci', ...args, '--no-audit', '--no-fund'], `installing ${what} (once, about ${size})`, say)
  const stamp = join(folder, 'node_modules/.demo-built')
  const wanted = await digest(sources.map((source) => join(folder, source)))
  if (await readFile(stamp, 'utf8').catch(() => '') !== wanted || !await access(join(folder, built)).then(() => true, () => false)) {
    await run(folder, ['run', 'build'], `building ${what}`, say)
    await writeFile(stamp, wanted)
  }
  return folder
}

/** Whether npm has installed what the lock file says, by its own note of it, which it writes last: each in its version, none missing but what is for other machines. */
async function isInstalled (folder: string): Promise<boolean> {
  type Packages = Record<string, { version?: string, optional?: boolean }>
  const read = async (name: string) => (JSON.parse(await readFile(join(folder, name), 'utf8')) as { packages: Packages }).packages
  const there = await read('node_modules/.package-lock.json').catch((): Packages => ({}))
  const { '': _itself, ...wanted } = await read('package-lock.json')
  return Object.entries(wanted).every(([path, { version, optional }]) => there[path] ? there[path].version === version : optional)
}

/** One hash over files, and over all that is in folders. */
async function digest (paths: string[]): Promise<string> {
  const hash = createHash('sha256')
  for (const path of paths) {
    const files = (await stat(path)).isDirectory() ? (await readdir(path, { recursive: true })).sort().map((file) => join(path, file)) : [path]
    for (const file of files) if ((await stat(file)).isFile()) hash.update(file).update(await readFile(file))
  }
  return hash.digest('hex')
}

async function run (folder: string, args: string[], what: string, say: (line: string) => void): Promise<void> {
  const began = performance.now()
  const seconds = () => `${Math.round((performance.now() - began) / 1000)} s`
  say(`${what}...`)
  const progress = setInterval(() => say(`  still ${what}: ${seconds()}`), 5000)
  const child = spawn('npm', args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  let printed = ''
  child.stdout.on('data', (chunk) => { printed += chunk })
  child.stderr.on('data', (chunk) => { printed += chunk })
  const [code] = await once(child, 'close')
  clearInterval(progress)
  if (code !== 0) throw new Error(`npm ${args.join(' ')} in ${folder} failed:\n${printed.slice(-2000)}`)
  say(`  done in ${seconds()}`)
}
