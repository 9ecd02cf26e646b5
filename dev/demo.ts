// `npm run demo`: LiveKit, the service and its database on this machine, and a walk through the life of a voice session.
import { randomBytes } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { loadConfig } from '../plugins/config.ts'
import { buildApp } from '../src/app.ts'
import { startAnyLiveKit } from './any-livekit.ts'
import { freeTcpPort } from './livekit.ts'
import { joinRoom } from './participant.ts'
import { demoFile, signUserToken } from './token.ts'

const { values: { once, port } } = parseArgs({ options: { once: { type: 'boolean', default: false }, port: { type: 'string', default: '3000' } } })
const say = (line = '') => console.log(line)

say('Starting LiveKit, a database and the service, all on this machine...')
const secret = randomBytes(32).toString('hex')
const folder = join(tmpdir(), `livekit-sessions-demo-${process.pid}`)
const listen = await freeTcpPort(Number(port)).catch(() => freeTcpPort())
const livekit = await startAnyLiveKit({ log: say, webhookUrl: `http://127.0.0.1:${listen}/api/v1/livekit/webhook`, agents: ['voice-agent', 'avatar-agent'] })
const stop: Array<() => Promise<unknown>> = [() => livekit.stop()]
let code = 1

try {
  const app = await buildApp({
    config: loadConfig({
      LIVEKIT_URL: livekit.url,
      LIVEKIT_API_KEY: livekit.apiKey,
      LIVEKIT_API_SECRET: livekit.apiSecret,
      JWT_SECRET: secret,
      DATA_DIR: folder,
      PORT: String(listen),
      LOG_LEVEL: 'error'
    })
  })
  stop.unshift(() => app.close(), () => rm(folder, { recursive: true, force: true }))
  const address = await app.listen({ host: '127.0.0.1', port: app.config.PORT })
  await writeFile(demoFile, JSON.stringify({ address, secret }), { mode: 0o600 })
  stop.unshift(() => rm(demoFile, { force: true }))
  say(`Runs on ${livekit.name}.\n`)

  await walk(address)
  code = 0
  if (!once) {
    say(`\nThe service stays up at ${address}`)
    say(`  API document  ${address}/api/docs`)
    say(`  LiveKit       ${livekit.url}`)
    say(`  a token       ${signUserToken(secret, { sub: 'alice', email: 'alice@example.com' })}`)
    say('  another one   npm run token -- --sub bob')
    say('Ctrl-C ends it.')
    await new Promise<void>((resolve) => { for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve()) })
  }
} catch (error) {
  console.error(`\nThe demo failed: ${(error as Error).message}`)
} finally {
  for (const step of stop) await step().catch((error: Error) => { console.error(error.message); code = 1 })
}
process.exit(code)

/** The life of a session, each call shown with its time; throws at the first answer that is not what it should be. */
async function walk (address: string) {
  const base = '/api/v1/voice-sessions'
  const authorization = `Bearer ${signUserToken(secret, { sub: 'alice', email: 'alice@example.com' })}`
  const call = async (method: string, path: string, expected: number, body?: object) => {
    const began = performance.now()
    const response = await fetch(address + path, { method, headers: { authorization, ...(body && { 'content-type': 'application/json' }) }, body: body && JSON.stringify(body) })
    const answer = await response.json() as any
    show(`${method} ${path}`, performance.now() - began, `${response.status} ${JSON.stringify({ ...answer, ...(answer.token && { token: `${answer.token.slice(0, 12)}...` }) })}`)
    if (response.status !== expected) throw new Error(`${method} ${path} answered ${response.status} instead of ${expected}`)
    return answer
  }

  const { room_name: room, token, livekit_url: url } = await call('POST', `${base}/start`, 200, { agent_type: 'workout' })
  if (livekit.real) {
    const began = performance.now()
    const user = await joinRoom({ url, token, publish: true })
    show('join the room over WebRTC', performance.now() - began, `as ${user.identity}`)
    await sleep(50)
    const status = await call('GET', `${base}/${room}/status`, 200)
    if (!status.active || status.participants < 1) throw new Error('the status does not show who is in the room')
    await call('GET', `${base}/active`, 200)
    await call('DELETE', `${base}/${room}`, 200)
    const ended = performance.now()
    show('the client is disconnected', performance.now() - ended, await user.disconnected)
    await refused(url, token)
  } else {
    await call('GET', `${base}/${room}/status`, 200)
    await call('GET', `${base}/active`, 200)
    await call('DELETE', `${base}/${room}`, 200)
  }
  await call('GET', `${base}/${room}/status`, 404)
}

async function refused (url: string, token: string) {
  const began = performance.now()
  const reason = await joinRoom({ url, token }).then(() => undefined, (error: Error) => error.message)
  if (reason === undefined) throw new Error('the token of the ended session still opened its room')
  show('join again with the old token', performance.now() - began, `refused: ${reason.slice(0, 80)}`)
}

function show (what: string, ms: number, result: string) {
  say(`${what.padEnd(34)} ${ms.toFixed(0).padStart(5)} ms  ${result}`)
}
