// npm run prove:network: calls where the network is bad. docker-compose.yml with its edge in containers; a browser in a network of its own that lets
// one way of media through, then another; then a line that loses, is slow, and is narrow. Which way was taken, and what each side heard of the other.
// The edge's certificates last three minutes here: they are renewed while the calls go on.
// Linux, root, Chromium and certutil (Debian: libnss3-tools) are needed. Exits with 2 where no containers can be had.
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { promisify } from 'node:util'
import { chromium, type Page } from 'playwright-core'
import { signUserToken } from '../../dev/demo/token.ts'
import { startSlowLine, type Line } from '../../dev/faults/slow-line.ts'
import { freeTcpPort } from '../../dev/livekit/livekit.ts'
import { claim, closing, prove, seconds, sleep, until } from '../../dev/prove/proof.ts'
import { findStack } from '../../dev/stack/engine.ts'
import { createNamespace, type Way } from '../../dev/stack/namespace.ts'
import { beeps, findChromium } from './stage.ts'

const DOMAIN = 'calls.test'
const NAMES = ['', 'livekit.', 'turn.'].map((prefix) => prefix + DOMAIN)
const MEDIA = [7882, 7883, 7884, 7885] // deploy/livekit.yaml
const LISTEN = 8000 // ms of each condition
const secret = (bytes = 32) => randomBytes(bytes).toString('hex')
const browserOptions = ['--no-sandbox', '--disable-dev-shm-usage', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--autoplay-policy=no-user-gesture-required']
const client = await readFile(createRequire(import.meta.url).resolve('livekit-client'), 'utf8')
const execute = promisify(execFile)
/** In the page, before anything else: its connections are kept where their accounts can be asked for, with the candidates they found and what kept them from others. */
const REMEMBER = `window.connections = []; window.tried = []; window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor (...given) {
    super(...given)
    window.connections.push(this)
    this.addEventListener('icecandidate', ({ candidate }) => { if (candidate?.candidate) window.tried.push(candidate.candidate) })
    this.addEventListener('icecandidateerror', ({ url, errorCode, errorText }) => { window.tried.push([url, errorCode, errorText].join(' ')) })
  }
}`

/** The browser's own account of a call: https://www.w3.org/TR/webrtc-stats/ */
interface Account {
  /** The candidates of the pairs in use, `kind/protocol` of ours and of LiveKit's: `host/udp`, `relay/tls`. */
  ways: string[]
  port: number
  roundTrip: number
  received: number
  lost: number
  samples: number
  concealed: number
  buffered: number
  emitted: number
  state: string
  troubles: string[]
}

/** Joins with a microphone, and plays what it hears. */
async function enter (page: Page, call: { url: string, token: string }): Promise<void> {
  await page.evaluate(async ({ url, token }) => {
    const { Room, createLocalAudioTrack } = (window as any).LivekitClient
    const room = new Room()
    const troubles: string[] = []
    Object.assign(window, { room, troubles })
    for (const event of ['reconnecting', 'disconnected']) room.on(event, (reason: unknown) => { troubles.push(reason === undefined ? event : `${event} ${reason}`) })
    room.on('trackSubscribed', (track: any) => { if (track.kind === 'audio') document.body.append(track.attach()) })
    await room.connect(url, token).catch((error: Error) => { throw new Error(`${url}: ${error.message}; ${(window as any).tried.join('; ')}`) })
    const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false }
    await room.localParticipant.publishTrack(await createLocalAudioTrack(plain), { dtx: false })
  }, call)
}

function account (page: Page): Promise<Account> {
  return page.evaluate(async () => {
    const sum = { ways: [] as string[], port: 0, roundTrip: 0, received: 0, lost: 0, samples: 0, concealed: 0, buffered: 0, emitted: 0, state: (window as any).room.state, troubles: (window as any).troubles }
    for (const connection of (window as any).connections as RTCPeerConnection[]) {
      if (connection.connectionState !== 'connected') continue
      const report = await connection.getStats() as unknown as Map<string, any>
      for (const one of report.values()) {
        if (one.type === 'transport' && one.selectedCandidatePairId) {
          const pair = report.get(one.selectedCandidatePairId)
          const [ours, theirs] = [report.get(pair.localCandidateId), report.get(pair.remoteCandidateId)]
          sum.ways.push(`${ours.candidateType}/${ours.relayProtocol ?? ours.protocol}`)
          sum.port = ours.relayProtocol ? Number(/:(\d+)/.exec(ours.url ?? '')?.[1] ?? 0) : theirs.port
          sum.roundTrip = Math.max(sum.roundTrip, (pair.currentRoundTripTime ?? 0) * 1000)
        }
        if (one.type === 'inbound-rtp' && one.kind === 'audio') {
          sum.received += one.packetsReceived
          sum.lost += one.packetsLost
          sum.samples += one.totalSamplesReceived
          sum.concealed += one.concealedSamples
          sum.buffered += one.jitterBufferDelay * 1000
          sum.emitted += one.jitterBufferEmittedCount
        }
      }
    }
    return sum
  })
}

/** What one side heard between two accounts: shares of packets and of samples, and how long sound waited in its buffer, ms. */
function heard (before: Account, after: Account) {
  const samples = after.samples - before.samples
  const packets = after.received + after.lost - before.received - before.lost
  return {
    packets: after.received - before.received,
    lost: packets > 0 ? (after.lost - before.lost) / packets : 1,
    sound: samples > 0 ? 1 - (after.concealed - before.concealed) / samples : 0,
    buffer: (after.buffered - before.buffered) / (after.emitted - before.emitted || 1)
  }
}

/** The serial numbers of the certificates that the edge shows for each of its names, checked by each client anew. */
function watchCertificates (ca: Buffer) {
  const seen = new Map(NAMES.map((name) => [name, new Set<string>()]))
  const refused: string[] = []
  const timer = setInterval(() => {
    for (const [servername, serials] of seen) {
      const socket = connect({ host: '127.0.0.1', port: httpsPort, servername, ca }, () => {
        serials.add(socket.getPeerCertificate().serialNumber)
        socket.end()
      }).on('error', (error) => { refused.push(`${servername}: ${error.message}`) })
    }
  }, 2000)
  return { seen, refused, stop: () => clearInterval(timer) }
}

const percent = (share: number) => `${(share * 100).toFixed(1)} %`

const httpsPort = 443
const servicePort = await freeTcpPort()
const env = {
  DOMAIN,
  CERTIFICATES: 'internal {\n\tlifetime 3m\n}\nrenew_interval 10s', // Caddy renews when a third of it is left
  LIVEKIT_NODE_IP: '203.0.113.1', // dev/stack/namespace.ts
  LIVEKIT_API_KEY: 'APIproof',
  LIVEKIT_API_SECRET: secret(),
  POSTGRES_PASSWORD: secret(24),
  JWT_SECRET: secret(),
  VOICE_AGENT_NAME: '', // the other side is a browser, too
  RATE_LIMIT_PER_MINUTE: '0',
  START_LIMIT_PER_MINUTE: '0',
  PORT: String(servicePort),
  HTTP_PORT: String(await freeTcpPort()),
  HTTPS_PORT: String(httpsPort)
}
const found = await findStack({ env, profiles: ['edge'], project: 'livekit-sessions-network' })
if (!found) {
  console.error('\n!!! THE NETWORK WAS NOT TRIED: there is no Docker here, and not root on Debian with Podman, buildah, runc, mmdebstrap and Go either. !!!\n')
  process.exit(2)
}
const stack = found

/**
 * LiveKit's TURN server sends to LiveKit by the machine's address, as it would to any node: its container calls its own published port. Docker's proxy
 * leads it back; Podman's rules do so where bridges leave the filtering to IP.
 */
async function leadBack () {
  const filtering = '/proc/sys/net/bridge/bridge-nf-call-iptables'
  if (stack.engine === 'Docker' || !existsSync(filtering)) return
  const before = await readFile(filtering, 'utf8')
  await writeFile(filtering, '0')
  closing(() => writeFile(filtering, before))
}

/** Everything up, a browser in the network of its own and one outside of it. */
async function stage () {
  const folder = await mkdtemp(join(tmpdir(), 'network-proof-'))
  closing(() => rm(folder, { recursive: true, force: true }))
  const namespace = await createNamespace('sessions', NAMES)
  closing(() => namespace.remove())
  await stack.down().catch(() => {})
  closing(() => stack.down())
  await stack.build()
  await leadBack()
  await stack.up()
  await stack.healthy(120_000)

  const microphone = join(folder, 'microphone.wav')
  await writeFile(microphone, beeps())
  const authority = join(folder, 'authority.crt')
  await writeFile(authority, await stack.cli('exec', await stack.container('caddy'), 'cat', '/data/caddy/pki/authorities/local/root.crt'))
  const certificates = watchCertificates(await readFile(authority))
  closing(async () => certificates.stop())
  if (await until(() => [...certificates.seen.values()].every((serials) => serials.size > 0), 30_000) === Infinity) throw new Error('the edge has no certificates')
  certificates.refused.length = 0 // they are made one after the other
  // The browser checks certificates: it knows one authority more.
  const known = join(folder, '.pki/nssdb')
  await mkdir(known, { recursive: true })
  await execute('certutil', ['-d', `sql:${known}`, '-N', '--empty-password'])
  await execute('certutil', ['-d', `sql:${known}`, '-A', '-t', 'C,,', '-n', 'proof', '-i', authority])
  const inside = join(folder, 'chromium')
  await writeFile(inside, `#!/bin/sh\nHOME='${folder}' exec ${namespace.command.join(' ')} '${findChromium()}' "$@"\n`, { mode: 0o755 })

  const open = async (executablePath: string, address: string) => {
    const browser = await chromium.launch({ executablePath, args: [...browserOptions, `--use-file-for-fake-audio-capture=${microphone}`] })
    closing(() => browser.close())
    return async () => {
      const page = await browser.newPage({ bypassCSP: true })
      page.setDefaultTimeout(60_000)
      await page.addInitScript({ content: REMEMBER })
      await page.goto(`${address}/api/docs/`, { waitUntil: 'domcontentloaded' })
      await page.addScriptTag({ content: client })
      return page
    }
  }
  const [near, far] = [await open(inside, `https://${DOMAIN}`), await open(findChromium(), `http://127.0.0.1:${servicePort}`)]

  return {
    namespace,
    certificates,
    /** A session, its user in the network of its own, the other side outside. */
    async call (user: string) {
      const page = await near()
      const began = performance.now()
      const session = await page.evaluate(async (token) => (await fetch('/api/v1/voice-sessions/start', { method: 'POST', headers: { authorization: `Bearer ${token}` } })).json(), signUserToken(env.JWT_SECRET, { sub: user }))
      const room = session.room_name as string
      const other = await far()
      await enter(other, { url: 'ws://127.0.0.1:7880', token: signUserToken(env.LIVEKIT_API_SECRET, { iss: env.LIVEKIT_API_KEY, sub: 'other', video: { roomJoin: true, room } }) })
      const joining = performance.now()
      await enter(page, { url: session.livekit_url, token: session.token })
      await page.waitForFunction(() => [...document.querySelectorAll('audio')].some((audio) => audio.currentTime > 0))
      await sleep(2000) // its second connection, and the first sound
      return { page, other, room, url: session.livekit_url as string, joined: performance.now() - joining, began }
    }
  }
}

const ways: Array<{ name: string, open: Way[], expected: RegExp, port: (port: number) => boolean }> = [
  { name: 'UDP', open: [{ protocol: 'tcp', ports: '443' }, { protocol: 'udp', ports: '7882:7885' }], expected: /^(host|prflx|srflx)\/udp$/, port: (port) => MEDIA.includes(port) },
  { name: 'TCP 7881', open: [{ protocol: 'tcp', ports: '443' }, { protocol: 'tcp', ports: '7881' }], expected: /^(host|prflx|srflx)\/tcp$/, port: (port) => port === 7881 },
  { name: 'TURN in TLS, 443 only', open: [{ protocol: 'tcp', ports: '443' }], expected: /^(relay|prflx)\/tls$/, port: (port) => port === 443 }
]

const conditions: Array<{ name: string, loss?: number, line?: Line }> = [
  { name: 'as it is' },
  { name: '1 % lost', loss: 0.01 },
  { name: '5 % lost', loss: 0.05 },
  { name: '10 % lost', loss: 0.1 },
  { name: '50 ms each way', line: { delay: 50 } },
  { name: '200 ms each way', line: { delay: 200 } },
  { name: '200 ms, 5 % lost', loss: 0.05, line: { delay: 200 } },
  { name: '128 kbit/s', line: { rate: 128_000 } },
  { name: '64 kbit/s', line: { rate: 64_000 } },
  { name: '40 kbit/s', line: { rate: 40_000 } }
]

await prove({
  'the three ways of media, and a bad line': async () => {
    const { namespace, certificates, call } = await stage()
    const taken = []
    for (const { name, open, expected, port } of ways) {
      await namespace.allow(open)
      const made = await call(`by-${name.replace(/\W/g, '')}`).catch((error: Error) => { claim(`${name}: a call comes about`, false, error.message.split('\n')[0]) })
      if (!made) continue
      const { page, other, joined, url } = made
      const [first, firstOther, out] = [await account(page), await account(other), await namespace.sent()]
      await sleep(LISTEN)
      const [last, lastOther, outAfter] = [await account(page), await account(other), await namespace.sent()]
      const [here, there] = [heard(first, last), heard(firstOther, lastOther)]
      const bytes = outAfter.map((sum, n) => sum - out[n]!)
      claim(`${name}: that way, both sides hear the other, nothing came between`, url === `wss://livekit.${DOMAIN}` && last.ways.length > 0 && last.ways.every((way) => expected.test(way)) && port(last.port) &&
        Math.max(...bytes) === bytes.at(-1) && here.sound > 0.9 && there.sound > 0.9 && last.troubles.length === 0, `${last.ways.join(', ')}, port ${last.port}; ${open.map(({ protocol, ports }, n) => `${protocol} ${ports} ${bytes[n]} bytes`).join(', ')}; ${last.troubles.join(', ')}`)
      taken.push({ 'let out': open.map(({ protocol, ports }) => `${protocol} ${ports}`).join(', '), way: [...new Set(last.ways)].join(', '), port: last.port, 'join to sound': seconds(joined), 'round trip': `${last.roundTrip.toFixed(0)} ms`, 'heard here': percent(here.sound), 'heard there': percent(there.sound) })
      await page.close()
      await other.close()
    }
    console.table(taken)

    const line = await startSlowLine({ address: namespace.address, ports: MEDIA })
    closing(async () => line.stop())
    for (const [n, port] of MEDIA.entries()) await namespace.redirect(port, line.ports[n]!)
    await namespace.allow([{ protocol: 'tcp', ports: '443' }, ...line.ports.map((port) => ({ protocol: 'udp' as const, ports: String(port) }))])
    const { page, other } = await call('patient')
    const suffered = []
    for (const { name, loss = 0, line: how = {} } of conditions) {
      await namespace.lose(loss)
      line.be(how)
      await sleep(3000) // until buffers have grown and shrunk
      const [first, firstOther] = [await account(page), await account(other)]
      await sleep(LISTEN)
      const [last, lastOther] = [await account(page), await account(other)]
      const [here, there] = [heard(first, last), heard(firstOther, lastOther)]
      claim(`${name}: the call stays up`, last.state === 'connected' && here.packets > 0 && there.packets > 0, last.troubles.join(', '))
      suffered.push({ line: name, 'round trip': `${last.roundTrip.toFixed(0)} ms`, 'lost to here': percent(here.lost), 'heard here': percent(here.sound), 'buffer here': `${here.buffer.toFixed(0)} ms`, 'lost to there': percent(there.lost), 'heard there': percent(there.sound), troubles: last.troubles.join(', ') })
    }
    await namespace.lose(0)
    line.be({})
    console.table(suffered)
    claim('the edge renewed every certificate meanwhile, and each that it showed was good', [...certificates.seen.values()].every((serials) => serials.size > 1) && certificates.refused.length === 0,
      `${[...certificates.seen].map(([name, serials]) => `${name}: ${serials.size}`).join(', ')}; ${certificates.refused.join(', ')}`)
  }
})
