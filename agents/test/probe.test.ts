// The probe, as operators run it: against a deployment that works, one without its agent, one that does not know the token.
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { startLiveKit, type LiveKit } from './support/livekit.ts'
import { freePort, start, until } from './support/processes.ts'
import { startService, webhookUrl, type Service } from './support/service.ts'
import { FOLDER } from './support/speech.ts'
import { startWorker, type RunningWorker } from './support/worker.ts'

let livekit: LiveKit
let service: Service
let worker: RunningWorker | undefined

before(async () => {
  const port = await freePort()
  livekit = await startLiveKit({ webhookUrl: webhookUrl(port) })
  service = await startService(livekit, port)
  worker = await startWorker(['echo'], livekit.env)
})
after(async () => {
  await worker?.stop()
  await service?.stop()
  await livekit?.stop()
})

const run = (args: string[], token = service.token('probe')) => start(process.execPath, ['--import', 'tsx', join(FOLDER, 'src/probe.ts'), ...args], { cwd: FOLDER, env: { PROBE_TOKEN: token } })

async function once (args: string[], token?: string): Promise<{ code: number | null, outcome: any, output: string }> {
  const { child, output } = run(['--url', service.url, ...args], token)
  await until('the probe ends', () => child.exitCode !== null, 60_000)
  const line = output().split('\n').find((text) => text.startsWith('{'))
  return { code: child.exitCode, outcome: line && JSON.parse(line), output: output() }
}

const STEPS = ['start', 'join', 'agent', 'answer', 'status', 'end', 'closed', 'refused']

test('a call that is as it should be: each step with its time, exit 0', async () => {
  const { code, outcome, output } = await once([])
  assert.equal(code, 0, output)
  assert.deepEqual({ ok: outcome.ok, url: outcome.url, steps: Object.keys(outcome.times) }, { ok: true, url: service.url, steps: STEPS })
  for (const step of STEPS) assert.ok(outcome.times[step] >= 0 && outcome.times[step] < 15_000, step)
  assert.ok(!output.includes('eyJ'))
  console.log(JSON.stringify(outcome))
})

test('again and again, with metrics of its own', async () => {
  const port = await freePort()
  const probe = run(['--url', service.url, '--every', '1s', '--port', String(port)])
  try {
    const metrics = await until(() => `two calls:\n${probe.output()}`, async () => {
      const text = await fetch(`http://127.0.0.1:${port}/metrics`).then((response) => response.text(), () => '')
      return /^session_probe_runs_total [2-9]$/m.test(text) && text
    }, 60_000)
    assert.match(metrics, /^session_probe_success 1$/m)
    assert.match(metrics, /^session_probe_failures_total\{step="answer"\} 0$/m)
    for (const step of STEPS) assert.match(metrics, new RegExp(`^session_probe_duration_seconds\\{step="${step}"\\} [\\d.e-]+$`, 'm'))
  } finally {
    await probe.stop(1000)
  }
})

test('a token file that is missing for a moment costs the calls of that moment', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'probe-'))
  t.after(() => rm(folder, { recursive: true }))
  const [file, port] = [join(folder, 'token'), await freePort()]
  const probe = run(['--url', service.url, '--token-file', file, '--every', '1s', '--port', String(port)], '')
  t.after(() => probe.stop(1000))
  const says = (line: RegExp) => until(() => `${line}:\n${probe.output()}`, async () => line.test(await fetch(`http://127.0.0.1:${port}/metrics`).then((response) => response.text(), () => '')), 30_000)
  await says(/^session_probe_failures_total\{step="start"\} [1-9]/m)
  await says(/^session_probe_success 0$/m)
  await writeFile(file, service.token('probe'))
  await says(/^session_probe_success 1$/m)
  assert.match(probe.output(), /"ok":false,"step":"start","reason":"ENOENT/)
})

test('without its agent: exit 1, the step and the reason, and no session is left behind', async () => {
  await worker!.stop()
  worker = undefined
  const { code, outcome } = await once(['--patience', '3s'])
  assert.equal(code, 1)
  assert.deepEqual([outcome.ok, outcome.step, outcome.reason, Object.keys(outcome.times)], [false, 'agent', 'nothing within 3 s', ['start', 'join']])
  const left = await fetch(`${service.url}/api/v1/voice-sessions/active`, { headers: { authorization: `Bearer ${service.token('probe')}` } })
  assert.deepEqual(await left.json(), { sessions: [] })
  console.log(JSON.stringify(outcome))
})

test('with a token that nobody knows: exit 1 at the start; asked for wrongly: exit 2', async () => {
  const { code, outcome } = await once([], 'no-token')
  assert.deepEqual([code, outcome.step, outcome.reason], [1, 'start', 'POST /start answered 401 A valid bearer token is required.'])
  const wrong = run(['--every', '1s'])
  await until('it ends', () => wrong.child.exitCode !== null)
  assert.equal(wrong.child.exitCode, 2)
  assert.match(wrong.output(), /--url must be the address of the service\nUsage: probe/)
})
