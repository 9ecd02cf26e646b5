// `npm run prove:clients`: the API document, linted, and the SDKs in clients/ as an app gets them: packed, installed, and living a session's life on the real thing.
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { buildApp } from '../../src/app.ts'
import { startLiveKit } from '../livekit/livekit.ts'
import { signUserToken } from '../demo/token.ts'

const npmPackages = ['@redocly/cli@2.77.0', 'typescript@5.9.3', '@types/node@20.19.43']
const clients = fileURLToPath(new URL('../../clients/', import.meta.url))

/** The life of a session, typed by the document alone. The one wrong line has to be wrong for the compiler, too. */
const typescriptProgram = `
import assert from 'node:assert/strict'
import { createSessionsClient } from 'livekit-sessions-client'

const { ADDRESS, TOKEN } = process.env
const api = createSessionsClient({ url: ADDRESS!, token: () => TOKEN! })

const start = { body: { agent_type: 'diet' }, params: { header: { 'idempotency-key': 'typescript-1' } } } as const
const started = await api.POST('/api/v1/voice-sessions/start', start)
assert.ok(started.data, JSON.stringify(started.error))
const roomName: string = started.data.room_name
assert.ok(started.data.token && Date.parse(started.data.expires_at) > Date.now())
assert.equal(started.data.agent_type, 'diet')

const again = await api.POST('/api/v1/voice-sessions/start', start)
assert.equal(again.data?.room_name, roomName)
assert.equal(again.response.headers.get('idempotent-replayed'), 'true')

const params = { path: { room_name: roomName } }
const status = await api.GET('/api/v1/voice-sessions/{room_name}/status', { params })
assert.deepEqual([status.data?.room_name, status.data?.active, status.data?.participants], [roomName, false, 0])
const { data: active } = await api.GET('/api/v1/voice-sessions/active')
assert.deepEqual(active?.sessions.map((session) => session.room_name), [roomName])

const ended = await api.DELETE('/api/v1/voice-sessions/{room_name}', { params })
assert.equal(ended.data?.status, 'ended')
const gone = await api.GET('/api/v1/voice-sessions/{room_name}/status', { params })
assert.deepEqual([gone.response.status, gone.error?.detail], [404, 'Session not found'])

// @ts-expect-error: not an agent type
const refused = await api.POST('/api/v1/voice-sessions/start', { body: { agent_type: 'yoga' } })
assert.deepEqual([refused.response.status, refused.error?.errors?.[0]?.path], [400, '/agent_type'])
console.log(roomName)
`

const pythonProgram = `
import importlib, os, pkgutil
from datetime import datetime, timezone
from typing import get_args, get_type_hints
import livekit_sessions_client as client
from livekit_sessions_client.api.voice_sessions import end_voice_session, get_voice_session_status, list_active_voice_sessions, start_voice_session
from livekit_sessions_client.models import Problem

modules = [module.name for module in pkgutil.walk_packages(client.__path__, "livekit_sessions_client.")]
for module in modules:
    importlib.import_module(module)

api = client.AuthenticatedClient(base_url=os.environ["ADDRESS"], token=os.environ["TOKEN"])
Request = get_args(get_type_hints(start_voice_session.sync)["body"])[0]

def start():
    return start_voice_session.sync_detailed(client=api, body=Request.from_dict({"agent_type": "scheduler"}), idempotency_key="python-1")

started = start().parsed
assert started and not isinstance(started, Problem), started
assert started.token and started.expires_at > datetime.now(timezone.utc) and started.agent_type == "scheduler"
room_name = started.room_name
again = start()
assert again.parsed.room_name == room_name and again.headers["idempotent-replayed"] == "true"

status = get_voice_session_status.sync(room_name, client=api)
assert (status.room_name, status.active, status.participants) == (room_name, False, 0), status
active = list_active_voice_sessions.sync(client=api)
assert [session.room_name for session in active.sessions] == [room_name], active

ended = end_voice_session.sync(room_name, client=api)
assert (ended.status, ended.room_name) == ("ended", room_name), ended
gone = get_voice_session_status.sync_detailed(room_name, client=api)
assert gone.status_code == 404 and isinstance(gone.parsed, Problem) and gone.parsed.detail == "Session not found", gone
print(room_name)
`

const { values: { keep } } = parseArgs({ options: { keep: { type: 'boolean', default: false } } })
const folder = await mkdtemp(join(tmpdir(), 'prove-clients-'))
const data = await mkdtemp(join(tmpdir(), 'prove-clients-data-')) // apart: as root, the database runs as another user
const npm = join(folder, 'npm')
const python = join(folder, 'python')
const closers = [() => rm(data, { recursive: true, force: true })]
if (!keep) closers.push(() => rm(folder, { recursive: true, force: true }))
const env = { ...process.env, PATH: `${join(python, 'venv', 'bin')}:${process.env.PATH}`, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' }

/** Runs one step in `cwd` and says what it was for and how long it took. */
async function step (what: string, cwd: string, command: string, args: string[], more: NodeJS.ProcessEnv = {}): Promise<string> {
  const began = performance.now()
  try {
    const { stdout } = await promisify(execFile)(command, args, { cwd, env: { ...env, ...more } })
    console.log(`ok    ${what} (${((performance.now() - began) / 1000).toFixed(1)} s)`)
    return stdout.trim()
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string, stderr?: string }
    throw new Error(`${what} failed: ${command} ${args.join(' ')}\n${stdout}${stderr || String(error)}`)
  }
}

try {
  const livekit = await startLiveKit({ log: console.log })
  closers.unshift(() => livekit.stop())
  const secret = randomBytes(32).toString('hex')
  const app = await buildApp({
    environment: {
      LIVEKIT_URL: livekit.url,
      LIVEKIT_API_KEY: livekit.apiKey,
      LIVEKIT_API_SECRET: livekit.apiSecret,
      JWT_SECRET: secret,
      DATA_DIR: data,
      LOG_LEVEL: 'error'
    }
  })
  closers.unshift(() => app.close())
  const address = await app.listen({ host: '127.0.0.1', port: 0 })
  const as = (sub: string) => ({ ADDRESS: address, TOKEN: signUserToken(secret, { sub, email: `${sub}@example.com` }) })
  const document = JSON.stringify(await (await fetch(`${address}/api/docs/json`)).json(), null, 2)
  console.log(`The service runs at ${address}, on LiveKit ${livekit.version}.`)

  await mkdir(npm)
  await writeFile(join(npm, 'package.json'), '{ "type": "module", "private": true }')
  await writeFile(join(npm, 'openapi.json'), document)
  await writeFile(join(npm, 'redocly.yaml'), 'extends: [recommended-strict]\n')
  await writeFile(join(npm, 'program.ts'), typescriptProgram)
  await step('install the tools for TypeScript', npm, 'npm', ['install', '--no-audit', '--no-fund', '--no-save', ...npmPackages])
  await step('lint the document', npm, 'npx', ['--no-install', 'redocly', 'lint', 'openapi.json'])
  await step('build the TypeScript package', join(clients, 'typescript'), 'npm', ['ci', '--no-audit', '--no-fund'])
  const packed = await step('pack it', join(clients, 'typescript'), 'npm', ['pack', '--silent', '--pack-destination', npm])
  await step('install it', npm, 'npm', ['install', '--no-audit', '--no-fund', '--no-save', ...npmPackages, join(npm, packed.split('\n').at(-1)!)])
  await step('compile it', npm, 'npx', ['--no-install', 'tsc', '--strict', '--noUncheckedIndexedAccess', '--target', 'es2022', '--module', 'nodenext', '--types', 'node', 'program.ts'])
  console.log(`      ${await step('start, watch and end a session with it', npm, 'node', ['program.js'], as('typescript'))}`)

  await mkdir(python)
  await writeFile(join(python, 'program.py'), pythonProgram)
  await step('make a Python environment', python, 'python3', ['-m', 'venv', 'venv'])
  await step('build and install the Python package', python, 'pip', ['install', '--quiet', '--disable-pip-version-check', join(clients, 'python')])
  console.log(`      ${await step('import all of it; start, watch and end a session', python, 'python', ['program.py'], as('python'))}`)
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
} finally {
  for (const close of closers) await close()
  if (keep) console.log(`kept: ${folder}`)
}
