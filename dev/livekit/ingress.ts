// A real LiveKit Ingress on this machine, beside a LiveKit with Redis; and what pushes into it: RTMP by GStreamer, WHIP by Chromium. For proofs.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { find, isExecutable } from '../find.ts'
import { guard } from '../guard.ts'
import { buildLiveKit, type Log } from './build-livekit.ts'
import { freeTcpPort } from './livekit.ts'

/** The version that the compose file runs. */
export const INGRESS_VERSION = '1.5.0'

const HEALTHY_WITHIN = 10_000 // ms
const LOG_LINES = 400

/**
 * Finds Ingress in this project's cache, or builds it there: Go, a C compiler and GStreamer's development packages
 * (Debian: libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libgstreamer-plugins-bad1.0-dev), four minutes.
 */
async function findIngress (log: Log): Promise<string> {
  const binary = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'livekit-sessions', `ingress-v${INGRESS_VERSION}`, 'ingress')
  if (!await isExecutable(binary)) await buildLiveKit({ module: 'github.com/livekit/ingress', version: `v${INGRESS_VERSION}`, within: './cmd/server', target: binary, log })
  return binary
}

export interface IngressOptions {
  redis: string
  livekit: { url: string, apiKey: string, apiSecret: string }
  rtmpPort: number
  whipPort: number
  log?: Log
}

export type RunningIngress = Awaited<ReturnType<typeof startIngress>>

/** Starts it and resolves once it is healthy. It ends with this process. It listens on every address: it cannot be told otherwise. */
export async function startIngress ({ redis, livekit, rtmpPort, whipPort, log = () => {} }: IngressOptions) {
  const binary = await findIngress(log)
  const folder = await mkdtemp(join(tmpdir(), 'ingress-'))
  const [healthPort, relayPort, udpPort] = await Promise.all([freeTcpPort(), freeTcpPort(), freeTcpPort()])
  const config = {
    redis: { address: redis },
    api_key: livekit.apiKey,
    api_secret: livekit.apiSecret,
    ws_url: livekit.url,
    rtmp_port: rtmpPort,
    whip_port: whipPort,
    health_port: healthPort,
    http_relay_port: relayPort,
    rtc_config: { udp_port: udpPort, node_ip: '127.0.0.1', use_external_ip: false, enable_loopback_candidate: true, interfaces: { includes: ['lo'] } },
    // It takes a stream when there is more of the CPU idle than this: always, for a machine whose cores others share.
    cpu_cost: { rtmp_cpu_cost: -2, whip_cpu_cost: -2, whip_bypass_transcoding_cpu_cost: -2 },
    logging: { level: 'debug' }
  }
  // Each RTMP stream has a process of its own, which it looks for by the name `ingress`.
  const child = spawn(binary, { env: { PATH: `${dirname(binary)}:${process.env.PATH}`, HOME: process.env.HOME, TMPDIR: folder, INGRESS_CONFIG_BODY: JSON.stringify(config) }, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  guard(child, folder)
  const lines: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line)
      if (lines.length > LOG_LINES) lines.shift()
    })
  }
  const gone = once(child, 'exit')
  const giveUp = Date.now() + HEALTHY_WITHIN
  while (!await fetch(`http://127.0.0.1:${healthPort}/health`).then(({ ok }) => ok, () => false)) {
    if (child.exitCode !== null || Date.now() > giveUp) throw new Error(`Ingress did not start:\n${lines.join('\n')}`)
    await sleep(50)
  }
  return {
    /** SIGKILL, to it and to whatever it started: a machine that goes. */
    async kill () {
      if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, 'SIGKILL')
      await gone
      await rm(folder, { recursive: true, force: true })
    },
    log: () => lines.join('\n')
  }
}

/** Something that pushes: until it is stopped or thrown out. */
export interface Pusher {
  /** Resolves when it was cut off, or ended by itself. */
  over: Promise<unknown>
  isOver: () => boolean
  stop: () => Promise<void>
  log: () => string
}

function pusherOf (child: ChildProcess, folder: string, more: { isOver?: () => boolean } = {}): Pusher {
  guard(child, folder)
  let printed = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => { printed += chunk })
  const gone = once(child, 'exit')
  const isGone = () => child.exitCode !== null || child.signalCode !== null
  return {
    over: gone,
    isOver: () => isGone() || (more.isOver?.() ?? false),
    async stop () {
      if (!isGone()) child.kill('SIGKILL')
      await gone
      await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    },
    log: () => printed
  }
}

/** A ball and a tone by RTMP, as an encoder on somebody's desk sends it (Debian: gstreamer1.0-tools and the plugins base, good, bad, ugly). */
export async function pushRtmp (url: string, streamKey: string): Promise<Pusher> {
  const program = await find('gst-launch-1.0')
  if (!program) throw new Error('This takes GStreamer: install gstreamer1.0-tools, gstreamer1.0-libav and the plugins base, good, bad and ugly.')
  const pipeline = [
    'videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=15/1 ! x264enc tune=zerolatency speed-preset=ultrafast bitrate=200 key-int-max=15 ! video/x-h264,profile=baseline ! queue ! mux.',
    'audiotestsrc is-live=true freq=440 ! audio/x-raw,rate=48000,channels=2 ! voaacenc bitrate=64000 ! queue ! mux.',
    `flvmux name=mux streamable=true ! rtmp2sink location=${url}/${streamKey} sync=false`
  ].join(' ').split(' ')
  const folder = await mkdtemp(join(tmpdir(), 'push-'))
  return pusherOf(spawn(program, ['-q', ...pipeline], { stdio: ['ignore', 'pipe', 'pipe'], detached: true }), folder)
}

/** What the browser does: a camera and a microphone that are made up, one offer, one answer (RFC 9725). It says what becomes of it. */
const page = (url: string, streamKey: string) => `<!doctype html><script type="module">
const tell = (what) => fetch('/' + what, { method: 'POST' })
try {
  const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 320, height: 240 } })
  const peer = new RTCPeerConnection()
  for (const track of media.getTracks()) peer.addTransceiver(track, { direction: 'sendonly', streams: [media] })
  peer.onconnectionstatechange = () => tell(peer.connectionState)
  await peer.setLocalDescription()
  await new Promise((resolve) => { if (peer.iceGatheringState === 'complete') resolve(); else peer.onicegatheringstatechange = () => peer.iceGatheringState === 'complete' && resolve() })
  const answer = await fetch(${JSON.stringify(url)}, { method: 'POST', headers: { 'content-type': 'application/sdp', authorization: 'Bearer ${streamKey}' }, body: peer.localDescription.sdp })
  await tell('answered-' + answer.status)
  if (answer.ok) await peer.setRemoteDescription({ type: 'answer', sdp: await answer.text() })
} catch (error) { await tell('failed-' + encodeURIComponent(error)) }
</script>`

/** The same by WHIP, from a real browser (Debian: chromium), with `flags` of its own. */
export async function pushWhip (url: string, streamKey: string, flags: string[] = []): Promise<Pusher & { states: string[] }> {
  const program = process.env.CHROMIUM ?? await find('chromium')
  if (!program) throw new Error('This takes a Chromium: install chromium, or name its program in CHROMIUM.')
  const states: string[] = []
  const server = createServer((request, response) => {
    if (request.method === 'POST') states.push(decodeURIComponent(request.url!.slice(1)))
    response.setHeader('content-type', 'text/html').end(request.method === 'POST' ? '' : page(url, streamKey))
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const folder = await mkdtemp(join(tmpdir(), 'push-'))
  const child = spawn(program, ['--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run', `--user-data-dir=${folder}`, '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
    '--allow-loopback-in-peer-connection', '--disable-features=WebRtcHideLocalIpsWithMdns', ...flags, `http://127.0.0.1:${(server.address() as AddressInfo).port}/`], { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  const pusher = pusherOf(child, folder, { isOver: () => states.some((state) => /^(failed|disconnected|closed|answered-[345])/.test(state)) })
  return {
    ...pusher,
    /** What its connection came to. */
    states,
    async stop () {
      await pusher.stop()
      await new Promise((resolve) => { server.close(resolve).closeAllConnections() })
    }
  }
}

// `tsx dev/livekit/ingress.ts` prints where the program is, having built it if need be.
if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(await findIngress(console.error))
