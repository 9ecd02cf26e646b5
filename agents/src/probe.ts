// The probe: calls as a user does, once or again and again; a line of JSON for each call, and metrics of its own.
import { fork } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Counter, Gauge, Registry } from 'prom-client'
import { steps, type Outcome } from './probe/steps.ts'

const USAGE = `Usage: probe --url https://sessions.example.com (--token JWT | --token-file FILE)
  --token JWT         a user's token; or in the variable PROBE_TOKEN, where other users of the machine do not see it
  --token-file FILE   read anew for each call
  --every 60s         calls again and again, with /metrics for Prometheus
  --host, --port      where /metrics listens: 127.0.0.1, 9464
  --patience 15s      what any one step may take
Exit: 0 the call was as it should be, 1 it was not, 2 it was asked for wrongly.`

const { url, token, 'token-file': tokenFile, every, host, port, patience } = options()

if (!every) {
  const { ok } = await call()
  process.exit(ok ? 0 : 1)
}
await watch(every)

/** A call each `interval` milliseconds. */
async function watch (interval: number): Promise<void> {
  const registers = [new Registry()]
  const success = new Gauge({ name: 'session_probe_success', help: 'Whether the last call was as it should be: 1 or 0', registers })
  const runs = new Counter({ name: 'session_probe_runs_total', help: 'Calls made', registers })
  const failures = new Counter({ name: 'session_probe_failures_total', help: 'Calls that failed, by the step at which they did', labelNames: ['step'], registers })
  const duration = new Gauge({ name: 'session_probe_duration_seconds', help: 'What each step of the last call took', labelNames: ['step'], registers })
  for (const step of steps) failures.inc({ step }, 0)
  createServer(async (request, response) => {
    if (request.url !== '/metrics') return response.writeHead(404).end()
    response.writeHead(200, { 'content-type': registers[0]!.contentType }).end(await registers[0]!.metrics())
  }).listen(port, host)

  for (;;) {
    const began = performance.now()
    const outcome = await call()
    runs.inc()
    success.set(outcome.ok ? 1 : 0)
    if (outcome.step) failures.inc({ step: outcome.step })
    duration.reset()
    for (const [step, ms] of Object.entries(outcome.times)) duration.set({ step }, ms / 1000)
    await sleep(Math.max(0, interval - (performance.now() - began)))
  }
}

/** One call and its line of JSON. */
async function call (): Promise<Outcome> {
  const outcome = await attempt().catch(({ message }: Error): Outcome => ({ ok: false, step: 'start', reason: message, times: {}, total: 0 }))
  console.log(JSON.stringify({ at: new Date().toISOString(), url, ...outcome }))
  return outcome
}

/** In a process of its own: what the media engine prints or breaks is no harm. @throws when it did not come to its first step */
async function attempt (): Promise<Outcome> {
  const order = { url, token: tokenNow(), patience }
  const child = fork(fileURLToPath(new URL(`./probe/process.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url)), { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const limit = setTimeout(() => child.kill('SIGKILL'), 10 * patience)
  try {
    return await new Promise<Outcome>((resolve, reject) => {
      child.once('message', (message) => resolve(message as Outcome))
      child.once('close', () => reject(new Error('the call broke off')))
      child.on('error', reject)
      child.send(order)
    })
  } finally {
    clearTimeout(limit)
  }
}

function tokenNow (): string {
  return tokenFile ? readFileSync(tokenFile, 'utf8').trim() : token
}

function options () {
  try {
    const { values } = parseArgs({
      options: {
        url: { type: 'string' },
        token: { type: 'string' },
        'token-file': { type: 'string' },
        every: { type: 'string' },
        host: { type: 'string', default: '127.0.0.1' },
        port: { type: 'string', default: '9464' },
        patience: { type: 'string', default: '15s' }
      }
    })
    const token = values.token ?? process.env.PROBE_TOKEN ?? ''
    if (!values.url || !URL.canParse(values.url)) throw new Error('--url must be the address of the service')
    if (!token && !values['token-file']) throw new Error('a token is required')
    return { ...values, url: values.url, token, every: values.every && milliseconds('--every', values.every), port: Number(values.port), patience: milliseconds('--patience', values.patience) }
  } catch (error) {
    console.error(`${(error as Error).message}\n${USAGE}`)
    process.exit(2)
  }
}

function milliseconds (name: string, text: string): number {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text) ?? []
  if (!amount) throw new Error(`${name} must be a time like 60s`)
  return Number(amount) * { ms: 1, s: 1000, m: 60_000 }[unit as 'ms' | 's' | 'm']
}
