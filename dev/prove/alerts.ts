// `npm run prove:alerts`: each alert caused once for real, with the seconds until Prometheus sees it. Prometheus and its exporters have to be installed.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, statfs, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { startEchoAgent } from '../demo/agents.ts'
import { find } from '../find.ts'
import { freeTcpPort } from '../livekit/livekit.ts'
import { joinRoom } from '../livekit/participant.ts'
import { startPrometheus, type Targets } from '../observe/prometheus.ts'
import { startPostgres } from '../postgres.ts'
import { startReceiver } from '../webhooks/receiver.ts'
import { childrenOf } from './processes.ts'
import { claim, closing, faultsBefore, neighbourhood, prove, seconds, sleep, startDatabase, until } from './proof.ts'

const exec = promisify(execFile)
const host = (url: string) => new URL(url).host

/** Prometheus over these targets; `sees` says how long after its cause an alert with the labels `about` is there, and that it was not before. */
async function watch (jobs: Targets, about: Record<string, string> = {}) {
  const prometheus = await startPrometheus(jobs)
  closing(() => prometheus.stop())
  const state = async (name: string) => (await prometheus.alerts()).find(({ labels }) => labels.alertname === name && Object.entries(about).every(([label, value]) => labels[label] === value))?.state
  await until(async () => (await prometheus.query('up')).length > 0, 10_000)
  return {
    prometheus,
    async sees (name: string, cause: () => unknown, limit: number) {
      await sleep(2500) // two scrapes, so that what rises has something to rise from
      claim(`${name} is quiet before`, await state(name) === undefined)
      const began = performance.now()
      await cause()
      const seen = await until(() => state(name), limit)
      claim(`${name} is ${await state(name)} after its cause`, seen < Infinity, `${seconds(seen)}, ${seconds(performance.now() - began)} with the making of it`)
    }
  }
}

/** An exporter of Debian's, on a free port. */
async function exporter (program: string, args: string[], env: NodeJS.ProcessEnv = {}) {
  const path = await find(program)
  if (!path) throw new Error(`${program} is not installed`)
  const port = await freeTcpPort()
  const child = spawn(path, [`--web.listen-address=127.0.0.1:${port}`, ...args], { stdio: 'ignore', env: { ...process.env, ...env } })
  const gone = once(child, 'exit')
  closing(async () => { child.kill(); await gone })
  await until(() => fetch(`http://127.0.0.1:${port}/metrics`).then(({ ok }) => ok, () => false), 10_000)
  return `127.0.0.1:${port}`
}

/** Processes of this worker that wait for a call. */
function idleProcesses (pid: number): number[] {
  return childrenOf(pid).filter((child) => {
    try { return readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('job_proc_lazy_main') } catch { return false }
  })
}

await prove({
  'the service is killed: ServiceDown': async () => {
    const { service } = await neighbourhood()
    const { sees } = await watch({ sessions: { targets: [host(service.url)] } })
    await sees('ServiceDown', () => service.kill(), 10_000)
  },

  'LiveKit is killed: LiveKitAway, starts fail, the reconciler falls behind': async () => {
    const { service, livekit, start, call } = await neighbourhood()
    for (let n = 0; n < 20; n++) await start(`u${n}`)
    const { sees } = await watch({ sessions: { targets: [host(service.url)] } })
    await sees('LiveKitAway', () => livekit.kill(), 15_000)
    await sees('StartErrorBudgetBurn', async () => { for (let n = 0; n < 8; n++) await call(`v${n}`, 'POST', '/voice-sessions/start') }, 15_000)
    await sees('ReconcilerBehind', () => {}, 100_000)
  },

  'PostgreSQL is stopped: DatabaseAway': async () => {
    const postgres = await startPostgres()
    const { service } = await neighbourhood({ databaseUrl: postgres.url })
    const { sees } = await watch({ sessions: { targets: [host(service.url)] } })
    await sees('DatabaseAway', () => postgres.stop(), 15_000)
  },

  'webhooks are blocked while sessions start: WebhooksSilent': async () => {
    const { service, start } = await neighbourhood({ webhooks: false })
    const { sees } = await watch({ sessions: { targets: [host(service.url)] } })
    await sees('WebhooksSilent', () => start('alice'), 15_000)
  },

  'a receiver answers 500 until the day of its messages is over: WebhooksGivenUp': async () => {
    const { service, start, call, query } = await neighbourhood({ env: { WEBHOOK_ALLOW_PRIVATE: 'true' } })
    const receiver = await startReceiver({ answer: () => 500 })
    closing(() => receiver.stop())
    const { body } = await call('root', 'POST', '/webhook-endpoints', { url: receiver.url, events: ['session.started'] }, { role: 'admin' })
    receiver.options.secret = body.secret
    const { sees } = await watch({ sessions: { targets: [host(service.url)] } })
    await sees('WebhooksGivenUp', async () => {
      await start('alice')
      await until(() => receiver.received.length > 0, 10_000)
      await query('update webhook_deliveries set give_up_at = now(), next_attempt_at = now()')
    }, 20_000)
  },

  'LiveKit has no Egress: RecordingsFailing': async () => {
    const { service, livekit, call } = await neighbourhood({ env: { VOICE_AGENT_NAME: '', RECORDINGS: 'on', S3_ENDPOINT: 'http://127.0.0.1:9', S3_BUCKET: 'calls', S3_ACCESS_KEY: 'recorder', S3_SECRET_KEY: '8d2f60b17ae94c35' } })
    const { sees } = await watch({ sessions: { targets: [host(service.url)] } })
    await sees('RecordingsFailing', async () => {
      const { body } = await call('alice', 'POST', '/voice-sessions/start', { recording: true })
      await joinRoom({ url: livekit.url, token: body.token })
    }, 150_000) // it is asked for five times first
  },

  'PostgreSQL takes 150 ms for each statement: StartLatencyBudgetBurn': async () => {
    const proxy = await faultsBefore(await startDatabase())
    const { service, start } = await neighbourhood({ databaseUrl: proxy.address })
    const { sees } = await watch({ sessions: { targets: [host(service.url)] } })
    await start('first')
    await sees('StartLatencyBudgetBurn', async () => {
      await proxy.fault({ delay: 150 })
      await Promise.all(Array.from({ length: 40 }, async (_, n) => { await sleep(n * 50); await start(`u${n}`) }))
    }, 20_000)
  },

  'no worker is there: AgentsNotComing, AgentArrivalBudgetBurn': async () => {
    const { service, livekit, start } = await neighbourhood({ env: { AGENT_JOIN_TIMEOUT: '3', AGENT_MAX_DISPATCHES: '2' } })
    const { sees } = await watch({ sessions: { targets: [host(service.url)] } })
    const join = async () => { for (let n = 0; n < 6; n++) await joinRoom({ url: livekit.url, token: (await start(`u${n}`)).token }) }
    await sees('AgentsNotComing', join, 20_000)
    await sees('AgentArrivalBudgetBurn', () => {}, 30_000)
  },

  'a worker\'s idle processes are killed, then the worker: NoIdleAgentProcess, AgentsDown': async () => {
    const { livekit } = await neighbourhood()
    const worker = await startEchoAgent({ livekit, agentName: 'voice-agent', say: () => {} })
    closing(() => worker.stop())
    const { sees } = await watch({ agents: { targets: [host(worker.url)] } })
    let killer: NodeJS.Timeout | undefined
    const kill = () => { for (const pid of idleProcesses(worker.pid)) process.kill(pid, 'SIGKILL') }
    await sees('NoIdleAgentProcess', () => { killer = setInterval(kill, 200) }, 15_000)
    clearInterval(killer)
    await sees('AgentsDown', () => process.kill(worker.pid, 'SIGKILL'), 15_000)
  },

  'an old token opens a room on a LiveKit with auto_create: EndedTokensUsed': async () => {
    const { service, livekit, start, end } = await neighbourhood({ livekit: { autoCreate: true } })
    const { sees } = await watch({ sessions: { targets: [host(service.url)] } })
    const { room_name: room, token } = await start('alice')
    await end('alice', room)
    await sees('EndedTokensUsed', () => joinRoom({ url: livekit.url, token }).catch(() => {}), 15_000) // thrown out, perhaps before it is all in
  },

  'a certificate is good for ten more days, then not any more: CertificateExpiring, AddressAway': async () => {
    const folder = await mkdtemp(join(tmpdir(), 'certificate-'))
    closing(() => rm(folder, { recursive: true }))
    await exec('openssl', ['req', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', 'key', '-out', 'asked'], { cwd: folder })
    const certificate = async (days: number) => {
      await exec('openssl', ['x509', '-req', '-in', 'asked', '-signkey', 'key', '-copy_extensions', 'copy', '-days', String(days), '-out', `for${days}`], { cwd: folder })
      return { key: await readFile(`${folder}/key`), cert: await readFile(`${folder}/for${days}`) }
    }
    const server = createServer(await certificate(10)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    closing(async () => { server.close(); server.closeAllConnections() })
    const config = fileURLToPath(new URL('../../deploy/observe/blackbox.yml', import.meta.url))
    const blackbox = await exporter('prometheus-blackbox-exporter', [`--config.file=${config}`], { SSL_CERT_FILE: `${folder}/for10` })
    const began = performance.now()
    const { prometheus, sees } = await watch({ blackbox: { targets: [blackbox], exporter: { module: 'tls', looksAt: `localhost:${(server.address() as AddressInfo).port}` } } })
    const expiring = async () => (await prometheus.alerts()).some(({ labels }) => labels.alertname === 'CertificateExpiring')
    const seen = await until(expiring, 15_000)
    claim('CertificateExpiring is pending after the first look at it', seen < Infinity, seconds(performance.now() - began))
    const expired = await certificate(-1)
    await sees('AddressAway', () => server.setSecureContext(expired), 15_000)
    claim('of a certificate that has expired nobody is told any more how long it is good', !await expiring())
  },

  'a disk fills up: DiskFilling': async () => {
    const folder = await mkdtemp(join(tmpdir(), 'disk-'))
    await exec('sh', ['-c', 'truncate -s 64M disk && mkfs.ext4 -q disk && mkdir on && mount -o loop disk on'], { cwd: folder })
    closing(async () => { await exec('umount', [`${folder}/on`]); await rm(folder, { recursive: true }) })
    const node = await exporter('prometheus-node-exporter', ['--collector.disable-defaults', '--collector.filesystem'])
    const { sees } = await watch({ node: { targets: [node] } }, { mountpoint: `${folder}/on` })
    await sees('DiskFilling', async () => {
      const { bavail, bsize } = await statfs(`${folder}/on`)
      await writeFile(`${folder}/on/full`, Buffer.alloc(Math.floor(bavail * bsize * 0.95)))
    }, 15_000)
  },

  'the probe finds no agent any more: ProbeFailing': async () => {
    const { service, livekit, token } = await neighbourhood()
    const worker = await startEchoAgent({ livekit, agentName: 'voice-agent', say: () => {} })
    closing(() => worker.stop())
    const port = await freeTcpPort()
    const probe = spawn('npx', ['tsx', 'agents/src/probe.ts', '--url', service.url, '--every', '1s', '--patience', '3s', '--port', String(port)], { env: { ...process.env, PROBE_TOKEN: token('probe') }, stdio: ['ignore', 'pipe', 'inherit'], detached: true })
    let said = ''
    probe.stdout.on('data', (chunk) => { said += chunk })
    closing(async () => { process.kill(-probe.pid!, 'SIGKILL') })
    const { sees } = await watch({ sessions: { targets: [host(service.url)] }, probe: { targets: [`127.0.0.1:${port}`] } })
    await until(() => said.includes('"ok":true'), 30_000)
    await sees('ProbeFailing', () => worker.stop(), 40_000)
    console.log(said.trim().replace(/^/gm, '        '))
  }
})
