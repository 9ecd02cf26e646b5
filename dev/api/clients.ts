// `npm run clients`: generates the SDKs from openapi.json. With --check it compares instead, and refuses a document that breaks clients of the last release.
import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../', import.meta.url))
const document = join(root, 'openapi.json')
/** The document of the last release: `npm run clients -- --release` makes the present one that. */
const released = join(root, 'clients', 'released.json')
const oasdiff = 'github.com/oasdiff/oasdiff@v1.18.6'
const python = join(root, 'clients', 'python')
const typescript = join(root, 'clients', 'typescript')
const { values: { check, release } } = parseArgs({ options: { check: { type: 'boolean', default: false }, release: { type: 'boolean', default: false } } })
const folder = await mkdtemp(join(tmpdir(), 'sessions-clients-'))

/** What changed between two documents that clients of the first would trip over; empty when nothing did. Needs Go. */
async function breaks (before: string, after: string): Promise<string> {
  try {
    await run('go', ['run', oasdiff, 'breaking', before, after, '--fail-on', 'ERR'], { env: { GOTOOLCHAIN: 'local', GOFLAGS: '-mod=mod', ...process.env } })
    return ''
  } catch (error) {
    const { stdout = '', stderr = '', code } = error as { stdout?: string, stderr?: string, code?: number }
    if (code !== 1 || !stdout) throw new Error(`oasdiff could not compare: ${stderr || String(error)}`)
    return stdout
  }
}

async function same (ours: string, theirs: string): Promise<boolean> {
  const list = async (folder: string) => (await readdir(folder, { recursive: true, withFileTypes: true })).filter((one) => one.isFile() && !/__pycache__|\.ruff_cache/.test(one.parentPath)).map((one) => join(one.parentPath, one.name).slice(folder.length)).sort()
  const names = await list(ours)
  if (names.join() !== (await list(theirs)).join()) return false
  for (const name of names) if (!(await readFile(join(ours, name))).equals(await readFile(join(theirs, name)))) return false
  return true
}

try {
  await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: typescript })
  await run('npx', ['--no-install', 'openapi-typescript', document, '--output', join(folder, 'schema.ts')], { cwd: typescript })
  await run('python3', ['-m', 'venv', join(folder, 'venv')])
  const bin = join(folder, 'venv', 'bin')
  await run(join(bin, 'pip'), ['install', '--quiet', '--disable-pip-version-check', '-r', join(python, 'requirements.txt')])
  await run(join(bin, 'openapi-python-client'), ['generate', '--path', document, '--config', join(python, 'config.yaml'), '--meta', 'none', '--output-path', join(folder, 'python'), '--fail-on-warning'], { env: { ...process.env, PATH: `${bin}:${process.env.PATH}` } })
  await rm(join(folder, 'python', '.ruff_cache'), { recursive: true, force: true })

  const schema = join(typescript, 'src', 'schema.ts')
  const module = join(python, 'livekit_sessions_client')
  if (release) await cp(document, released)
  if (!check) {
    await cp(join(folder, 'schema.ts'), schema)
    await rm(module, { recursive: true, force: true })
    await cp(join(folder, 'python'), module, { recursive: true })
    console.log('written: clients/typescript, clients/python')
  } else {
    const stale = [
      ...await readFile(schema, 'utf8') === await readFile(join(folder, 'schema.ts'), 'utf8') ? [] : ['clients/typescript'],
      ...await same(module, join(folder, 'python')) ? [] : ['clients/python']
    ]
    if (stale.length > 0) throw new Error(`Not as openapi.json has it: ${stale.join(', ')}. npm run clients`)
    console.log('ok    the SDKs are those of openapi.json')

    const broken = await breaks(released, document)
    if (broken) throw new Error(`Clients of the last release would break:\n${broken}`)
    console.log('ok    no client of the last release breaks')
    // A check that cannot fail is none: a start without its token has to be refused.
    const planted = JSON.parse(await readFile(document, 'utf8'))
    delete planted.components.schemas.StartedVoiceSession.properties.token
    planted.components.schemas.StartedVoiceSession.required = planted.components.schemas.StartedVoiceSession.required.filter((name: string) => name !== 'token')
    await writeFile(join(folder, 'planted.json'), JSON.stringify(planted))
    if (!/token/.test(await breaks(released, join(folder, 'planted.json')))) throw new Error('A planted breaking change was not found.')
    console.log('ok    a planted breaking change is refused')
  }
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
} finally {
  await rm(folder, { recursive: true, force: true })
}
