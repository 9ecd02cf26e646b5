// What the browser tests stand on: a real LiveKit behind a line that can be cut, the service with its pages, the echo agent, real browsers whose microphone is a file, refused, or missing.
import { execFileSync } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { chromium, type BrowserContext, type BrowserContextOptions, type Page } from 'playwright-core'
import { startEchoAgent } from '../../dev/demo/agents.ts'
import { signUserToken } from '../../dev/demo/token.ts'
import { startFaultProxy } from '../../dev/faults/fault-proxy.ts'
import { findLiveKit, freeTcpPort, startLiveKit } from '../../dev/livekit/livekit.ts'
import { joinRoom, type Participant } from '../../dev/livekit/participant.ts'
import { startPostgres } from '../../dev/postgres.ts'
import { buildApp } from '../../src/app.ts'
import { createAgentTokens } from '../../src/sessions/agent-tokens.ts'

export type Stage = Awaited<ReturnType<typeof startStage>>

/** A second of a tone as rich as a voice's, a second of nothing, for 30 s: 48 kHz, one channel, 16 bits. */
export function beeps (): Buffer {
  const rate = 48_000
  const samples = new Int16Array(rate * 30)
  for (let n = 0; n < samples.length; n++) samples[n] = Math.floor(n / rate) % 2 === 0 ? 16_000 * (440 * n / rate % 1 - 0.5) * 2 : 0
  const header = Buffer.alloc(44)
  header.write('RIFF', 0)
  header.writeUInt32LE(36 + samples.byteLength, 4)
  header.write('WAVEfmt ', 8)
  header.writeUInt32LE(16, 16)
  header.writeUInt16LE(1, 20)
  header.writeUInt16LE(1, 22)
  header.writeUInt32LE(rate, 24)
  header.writeUInt32LE(rate * 2, 28)
  header.writeUInt16LE(2, 32)
  header.writeUInt16LE(16, 34)
  header.write('data', 36)
  header.writeUInt32LE(samples.byteLength, 40)
  return Buffer.concat([header, Buffer.from(samples.buffer)])
}

export function findChromium (): string {
  for (const name of [process.env.CHROMIUM, 'chromium', 'chromium-browser', 'google-chrome']) {
    if (!name) continue
    try {
      return execFileSync('which', [name], { encoding: 'utf8' }).trim()
    } catch {}
  }
  throw new Error('No Chromium here: install one (Debian: apt-get install chromium), or name it in CHROMIUM.')
}

const hook = (port: number) => `http://127.0.0.1:${port}/api/v1/livekit/webhook`

async function otherDatabase (url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query('create database lonely')
  await client.end()
  return Object.assign(new URL(url), { pathname: '/lonely' }).href
}

export async function startStage () {
  const folder = await mkdtemp(join(tmpdir(), 'sessions-pages-'))
  const stop: Array<() => Promise<unknown>> = [() => rm(folder, { recursive: true, force: true })]
  const wav = join(folder, 'microphone.wav')
  await writeFile(wav, beeps())

  const [port, lonelyPort] = [await freeTcpPort(), await freeTcpPort()]
  const { binary } = await findLiveKit({ log: console.log })
  const livekit = await startLiveKit({ binary, autoCreate: false, webhookUrl: hook(port), config: { webhook: { urls: [hook(port), hook(lonelyPort)] } } })
  stop.unshift(() => livekit.stop())
  const line = await startFaultProxy({ target: { host: '127.0.0.1', port: livekit.port } })
  stop.unshift(() => line.stop())
  const postgres = await startPostgres()
  stop.unshift(() => postgres.stop())
  const secret = randomBytes(32).toString('hex')
  const transcriptKey = randomBytes(32).toString('base64')
  const serve = async (port: number, databaseUrl: string, more = {}) => {
    const app = await buildApp({
      environment: {
        LIVEKIT_URL: line.url.replace('http', 'ws'),
        LIVEKIT_API_URL: livekit.url,
        LIVEKIT_API_KEY: livekit.apiKey,
        LIVEKIT_API_SECRET: livekit.apiSecret,
        JWT_SECRET: secret,
        DATABASE_URL: databaseUrl,
        WEB_UI: 'on',
        MAX_SESSIONS_PER_USER: '2',
        START_LIMIT_PER_MINUTE: '0',
        RATE_LIMIT_PER_MINUTE: '0',
        PORT: String(port),
        LOG_LEVEL: 'error',
        ...more
      }
    })
    stop.unshift(() => app.close())
    return app.listen({ host: '127.0.0.1', port })
  }
  const address = await serve(port, postgres.url)
  const lonely = await serve(lonelyPort, await otherDatabase(postgres.url), { TRANSCRIPTS: 'on', TRANSCRIPT_KEYS: transcriptKey, VOICE_AGENT_NAME: 'nobody', AGENT_JOIN_TIMEOUT: '2', AGENT_MAX_DISPATCHES: '2' })
  const agent = await startEchoAgent({ livekit, agentName: 'voice-agent', say: console.log })
  stop.unshift(() => agent.stop())

  const launch = async (...fake: string[]) => {
    const browser = await chromium.launch({ executablePath: findChromium(), args: ['--no-sandbox', '--disable-dev-shm-usage', ...fake] })
    stop.unshift(() => browser.close())
    return browser
  }
  const browsers = {
    speaking: await launch('--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', `--use-file-for-fake-audio-capture=${wav}`, '--autoplay-policy=no-user-gesture-required'),
    refused: await launch('--use-fake-device-for-media-stream', '--deny-permission-prompts', '--autoplay-policy=document-user-activation-required'),
    missing: await launch('--use-fake-ui-for-media-stream')
  }

  const token = (sub: string, claims = {}) => signUserToken(secret, { sub, email: `${sub}@example.com`, ...claims })
  /** What the pages were not allowed to load, and errors that nobody caught. */
  const complaints: string[] = []
  const contexts: BrowserContext[] = []
  const agents: Participant[] = []

  return {
    address,
    /** Another service, whose voice sessions have no worker: after 2 s it sends for another agent, 4 s later it gives up. */
    lonely,
    livekit,
    line,
    complaints,
    token,
    call: (sub: string, method: string, path: string, body?: object, { claims = {}, at = address } = {}) => fetch(at + path, { method, headers: { authorization: `Bearer ${token(sub, claims)}`, ...(body && { 'content-type': 'application/json' }) }, body: body && JSON.stringify(body) }),
    /** Resolves when the echo agent has a process that waits for the next job. */
    async agentIsWarm (): Promise<void> {
      const idle = async () => ((await (await fetch(`${agent.url}/readyz`)).json()) as { idle_processes: number }).idle_processes
      while (await idle() === 0) await sleep(50)
    },
    /** An agent that the test speaks for: LiveKit knows it as one, as it knows a worker's. With `publish` it buzzes. */
    async sendAgent (room: string, { identity = 'agent', attributes = {}, publish = false } = {}): Promise<Participant> {
      const video = { roomJoin: true, room, agent: true, canPublish: true, canSubscribe: true, canPublishData: true, canUpdateOwnMetadata: true }
      const agent = await joinRoom({ url: livekit.url, token: signUserToken(livekit.apiSecret, { iss: livekit.apiKey, sub: identity, kind: 'agent', attributes, video }), publish })
      agents.push(agent)
      return agent
    },
    /** A recorder as Egress is one: LiveKit says then that the room is recorded. */
    async record (room: string): Promise<Participant> {
      const video = { roomJoin: true, room, recorder: true, hidden: true, canPublish: false, canSubscribe: true }
      const recorder = await joinRoom({ url: livekit.url, token: signUserToken(livekit.apiSecret, { iss: livekit.apiKey, sub: 'recorder', video }) })
      agents.push(recorder)
      return recorder
    },
    /** What an agent of the session writes down of it. */
    async write (sessionId: string, lines: object[]) {
      const token = createAgentTokens(livekit.apiSecret, Date).issue({ id: sessionId, expires_at: new Date(Date.now() + 60_000) })
      const response = await fetch(`${lonely}/api/v1/agent/sessions/${sessionId}/transcript`, { method: 'POST', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: JSON.stringify({ writer: randomUUID(), lines }) })
      if (!response.ok) throw new Error(`transcript: ${response.status}`)
    },
    /** A page of a browser of its own, signed in as `sub`. */
    async open (path: string, sub: string, { claims = {}, microphone = 'speaking', at = address, ...options }: BrowserContextOptions & { claims?: object, microphone?: keyof typeof browsers, at?: string } = {}): Promise<Page> {
      const context = await browsers[microphone].newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-US', ...options })
      contexts.push(context)
      const page = await context.newPage()
      page.setDefaultTimeout(20_000)
      page.on('console', (message) => { if (/Content.Security.Policy/i.test(message.text())) complaints.push(message.text()) })
      page.on('pageerror', (error) => { complaints.push(error.message) })
      await page.goto(`${at}${path}#token=${token(sub, claims)}`)
      return page
    },
    async closePages () {
      for (const context of contexts.splice(0)) await context.close()
      for (const agent of agents.splice(0)) await agent.leave()
    },
    async stop () {
      for (const step of stop) await step().catch((error: Error) => console.error(error.message))
    }
  }
}

/**
 * How loud what the page plays is at its loudest within `ms`, 0 to 1, by an audio graph of the page; resolves at once when it is over `enough`.
 * Sound is 0.02 and more here, silence under 0.005.
 */
export function loudness (page: Page, ms: number, enough = Infinity): Promise<number> {
  return page.evaluate(async ({ ms, enough }) => {
    const until = performance.now() + ms
    const context = new AudioContext()
    const watched = new Map<MediaStreamTrack, AnalyserNode>()
    let loudest = 0
    const samples = new Float32Array(2048)
    while (performance.now() < until && loudest < enough) {
      for (const { srcObject } of document.querySelectorAll('audio')) {
        for (const track of (srcObject as MediaStream | null)?.getAudioTracks() ?? []) {
          if (watched.has(track)) continue
          const analyser = context.createAnalyser()
          context.createMediaStreamSource(new MediaStream([track])).connect(analyser)
          watched.set(track, analyser)
        }
      }
      for (const analyser of watched.values()) {
        analyser.getFloatTimeDomainData(samples)
        loudest = Math.max(loudest, Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length))
      }
      await new Promise((resolve) => { setTimeout(resolve, 20) })
    }
    await context.close()
    return loudest
  }, { ms, enough })
}
