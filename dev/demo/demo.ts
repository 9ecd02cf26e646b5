// `npm run demo`: LiveKit, the service and its database on this machine, and a walk through the life of a voice session.
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, realpath, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { buildApp } from '../../src/app.ts'
import { startEchoAgent } from './agents.ts'
import { startAnyLiveKit } from '../livekit/any-livekit.ts'
import { freeTcpPort } from '../livekit/livekit.ts'
import { joinRoom } from '../livekit/participant.ts'
import { prepare } from './prepare.ts'
import { leaveDemo, removeDemo } from './demo-file.ts'
import { signUserToken } from './token.ts'

const { values: { once, port, 'no-agent': noAgent } } = parseArgs({
  options: { once: { type: 'boolean', default: false }, 'no-agent': { type: 'boolean', default: false }, port: { type: 'string', default: '3000' } }
})
interface Seed { id: string, name: string, description: string, system_prompt: string | null }
const say = (line = '') => console.log(line)

say('Starting LiveKit, a database and the service, all on this machine...')
const secret = randomBytes(32).toString('hex')
const folder = await mkdtemp(join(tmpdir(), 'livekit-sessions-demo-'))
const listen = await freeTcpPort(Number(port)).catch(() => freeTcpPort())
const livekit = await startAnyLiveKit({ log: say, webhookUrl: `http://127.0.0.1:${listen}/api/v1/livekit/webhook`, agents: ['voice-agent', 'avatar-agent'] })
const stop: Array<() => Promise<unknown>> = [() => livekit.stop(), async () => {
  const database = await realpath(join(folder, 'database')).catch(() => folder) // as root it may be elsewhere
  for (const path of [database, folder]) await rm(path, { recursive: true, force: true })
}]
let code = 1

try {
  await prepare({ folder: 'web', name: 'the pages', size: '150 MB', built: 'dist/talk.html', sources: ['src', 'public', 'talk.html', 'console.html', 'vite.config.ts', 'package.json'] }, say)
  const app = await buildApp({
    environment: {
      LIVEKIT_URL: livekit.url,
      LIVEKIT_API_KEY: livekit.apiKey,
      LIVEKIT_API_SECRET: livekit.apiSecret,
      JWT_SECRET: secret,
      DATA_DIR: folder,
      PORT: String(listen),
      WEB_UI: 'on',
      LOG_LEVEL: 'error'
    }
  })
  stop.unshift(() => app.close())
  const address = await app.listen({ host: '127.0.0.1', port: app.config.PORT })
  await leaveDemo({ address, secret }).then(
    () => { stop.unshift(() => removeDemo()) },
    (error: Error) => say(`"npm run token" will not know of this demo: ${error.message}`)
  )
  say(`Runs on ${livekit.name}.`)
  const withAgent = livekit.real && !noAgent
  if (withAgent) {
    const agent = await startEchoAgent({ livekit, agentName: app.config.VOICE_AGENT_NAME, say })
    stop.unshift(() => agent.stop())
    say('The echo agent is registered: it says back what it hears.')
  }
  const categories = JSON.parse(await readFile(new URL('../../deploy/counselor-categories.json', import.meta.url), 'utf8')) as Seed[]
  for (const category of categories) await app.categoryStore.put({ ...category, enabled: true, at: new Date() })
  say()

  await walk(address, withAgent)
  code = 0
  if (!once) {
    say(`\nThe service stays up at ${address}`)
    say(`  API document  ${address}/api/docs`)
    say(`  LiveKit       ${livekit.url}`)
    say(`  a token       ${signUserToken(secret, { sub: 'alice', email: 'alice@example.com' })}`)
    say('  another one   npm run token -- --sub bob')
    say(`  the console   ${address}/console#token=${signUserToken(secret, { sub: 'operator', email: 'operator@example.com', role: 'admin' })}`)
    if (withAgent) {
      say('\nTalk to it in your browser:')
      say(`  ${address}/talk#token=${signUserToken(secret, { sub: 'alice', email: 'alice@example.com' })}`)
    }
    say('\nCtrl-C ends it.')
    await new Promise<void>((resolve) => { for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve()) })
  }
} catch (error) {
  console.error(`\nThe demo failed: ${(error as Error).message}`)
} finally {
  for (const step of stop) await step().catch((error: Error) => { console.error(error.message); code = 1 })
}
process.exit(code)

/** The life of a session, each call shown with its time; throws at the first answer that is not what it should be. */
async function walk (address: string, withAgent: boolean) {
  const base = '/api/v1/voice-sessions'
  const authorization = `Bearer ${signUserToken(secret, { sub: 'alice', email: 'alice@example.com' })}`
  const call = async (method: string, path: string, expected: number, body?: object) => {
    const began = performance.now()
    const response = await fetch(address + path, { method, headers: { authorization, ...(body && { 'content-type': 'application/json' }) }, body: body && JSON.stringify(body) })
    const answer = await response.json() as any
    show(`${method} ${path.replace(/[^/]+-[0-9a-f]{32}/, '{room_name}')}`, performance.now() - began, `${response.status} ${JSON.stringify({ ...answer, ...(answer.token && { token: `${answer.token.slice(0, 12)}...` }) })}`)
    if (response.status !== expected) throw new Error(`${method} ${path} answered ${response.status} instead of ${expected}`)
    return answer
  }

  const { room_name: room, token, livekit_url: url } = await call('POST', `${base}/start`, 200, { agent_type: 'workout' })
  if (livekit.real) {
    const began = performance.now()
    const user = await joinRoom({ url, token, publish: !withAgent })
    show('join the room over WebRTC', performance.now() - began, `as ${user.identity}`)
    if (withAgent) {
      const spoken = performance.now()
      const delays = (await user.echo(5)).sort((a, b) => a - b)
      if (delays.length < 5) throw new Error(`${delays.length} of 5 sounds came back from the agent`)
      show('say something, hear it come back', performance.now() - spoken, `5 of 5 times, after ${delays[2]!.toFixed(0)} ms (median), ${delays[4]!.toFixed(0)} ms (worst)`)
    } else await sleep(50)
    const status = await call('GET', `${base}/${room}/status`, 200)
    if (!status.active || status.participants !== (withAgent ? 2 : 1) || status.agent_connected !== withAgent) throw new Error('the status does not show who is in the room')
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
  say(`${what.padEnd(52)} ${ms.toFixed(0).padStart(5)} ms  ${result}`)
}
