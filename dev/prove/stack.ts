// npm run prove:stack: docker-compose.yml as it is, in containers, from cold to a spoken answer through Caddy's 443; then what the edge lets through.
// KEEP=1 leaves it up, STACK_PROFILES=edge leaves the agents out; with media streams come in, too (from GStreamer and Chromium on this machine).
// Exits with 2 where no containers can be had.
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { request as httpsRequest } from 'node:https'
import { promisify } from 'node:util'
import { ParticipantInfo_Kind as Kind } from '@livekit/protocol'
import { RoomServiceClient } from 'livekit-server-sdk'
import { pushRtmp, pushWhip } from '../livekit/ingress.ts'
import { findStack, type Stack } from '../stack/engine.ts'
import { claim, prove, seconds, until } from './proof.ts'

const DOMAIN = 'calls.test'
const PROJECT = 'livekit-sessions-proof'
const HEALTHY_WITHIN = 120_000 // ms
const secret = (bytes = 32) => randomBytes(bytes).toString('hex')

const address = Object.values(networkInterfaces()).flat().find((one) => one?.family === 'IPv4' && !one.internal)?.address ?? '127.0.0.1'
// Not of those that connections out of this machine are given: such a one may be taken while the images are built.
const [servicePort, httpPort, httpsPort] = [23000, 20080, 20443]
const env = {
  DOMAIN,
  CERTIFICATES: 'internal', // Caddy's own authority, because nobody else vouches for names of a test
  LIVEKIT_NODE_IP: address,
  LIVEKIT_API_KEY: 'APIproof',
  LIVEKIT_API_SECRET: secret(),
  POSTGRES_PASSWORD: secret(24),
  JWT_SECRET: secret(),
  STT_API_KEY: secret(),
  TTS_API_KEY: secret(),
  LLM_BASE_URL: 'http://model:9000/v1', // the caller, see agents/test/stack
  LLM_MODEL: 'scripted',
  INGRESS: 'on',
  PORT: String(servicePort),
  HTTP_PORT: String(httpPort),
  HTTPS_PORT: String(httpsPort)
}

const stack = await findStack({ env, profiles: (process.env.STACK_PROFILES ?? 'edge,agents').split(','), project: PROJECT })
if (!stack) {
  console.error('\n!!! THE STACK WAS NOT RUN: there is no Docker here, and not root on Debian with Podman, buildah, runc, mmdebstrap and Go either. !!!\n')
  process.exit(2)
}

// `npm run prove:stack -- build` builds the images and no more: the proof then finds them.
if (process.argv[2] === 'build') {
  console.log(await stack.build())
  await stack.close()
  process.exit(0)
}

/** What every container is held to, looked at in the running one. */
async function contained ({ cli, container }: Stack, service: string): Promise<string[]> {
  const name = await container(service)
  const status = await cli('exec', name, 'cat', '/proc/1/status')
  const field = (key: string) => new RegExp(`^${key}:\\s+(\\S+)`, 'm').exec(status)?.[1]
  const [memory = '', pids = ''] = (await cli('inspect', '--format', '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}', name)).trim().split(' ')
  const written = await cli('exec', name, 'sh', '-c', ': > /written').then(() => true, () => false)
  return Object.entries({
    'runs as root': field('Uid') === '0',
    'has capabilities': Number(`0x${field('CapBnd')}`) !== 0 || Number(`0x${field('CapEff')}`) !== 0,
    'may gain rights': field('NoNewPrivs') !== '1',
    'can write': written,
    'has no limit of memory': !(Number(memory) > 0),
    'has no limit of processes': !(Number(pids) > 0)
  }).flatMap(([what, is]) => is ? [`${service} ${what}`] : [])
}

/** In the service's container: what lies in its folder, and the packages under node_modules, `name@version`. */
const LOOK_INSIDE = `
const { readdirSync, readFileSync, existsSync } = require('node:fs')
const packages = (folder) => !existsSync(folder) ? [] : readdirSync(folder).filter((name) => !name.startsWith('.')).flatMap((name) => {
  if (name.startsWith('@')) return packages(folder + '/' + name)
  const { name: its, version } = JSON.parse(readFileSync(folder + '/' + name + '/package.json', 'utf8'))
  return [its + '@' + version, ...packages(folder + '/' + name + '/node_modules')]
})
console.log(JSON.stringify({ files: readdirSync('.').sort(), packages: [...new Set(packages('node_modules'))].sort() }))`

/** What the bill of materials names, `name@version`. */
async function billOfMaterials (): Promise<Set<string>> {
  const { stdout } = await promisify(execFile)('npm', ['run', '-s', 'sbom'], { maxBuffer: 16 * 1024 * 1024 })
  return new Set((JSON.parse(stdout).components as Array<{ name: string, version: string }>).map(({ name, version }) => `${name}@${version}`))
}

/** What a service said last. */
async function tell (service: string): Promise<void> {
  console.error((await stack!.logs(service)).trim().replace(/^/gm, `${service}: `))
}

/** Somebody outside: a container for whom Caddy is the three names, on the networks that are given; what its script prints. */
async function outside ({ cli, container, network, token }: Stack, { image, folder, networks, script, mounts }: { image: string, folder: string, networks: string[], script: string, mounts: Record<string, string> }): Promise<any> {
  const caddy = await container('caddy')
  const certificate = join(folder, 'authority.crt')
  await writeFile(certificate, await cli('exec', caddy, 'cat', '/data/caddy/pki/authorities/local/root.crt'))
  const ip = (await cli('inspect', '--format', `{{(index .NetworkSettings.Networks "${network('edge')}").IPAddress}}`, caddy)).trim()
  const name = `${PROJECT}-outside`
  const [first, ...others] = networks.map(network)
  const environment = { DOMAIN, TOKEN: await token('proof'), STT_API_KEY: env.STT_API_KEY, TTS_API_KEY: env.TTS_API_KEY, SSL_CERT_FILE: '/authority.crt', NODE_EXTRA_CA_CERTS: '/authority.crt' }
  await cli('rm', '--force', name).catch(() => {})
  await cli('create', '--name', name, '--network', first!, '--network-alias', 'model',
    ...['', 'livekit.', 'turn.'].flatMap((prefix) => ['--add-host', `${prefix}${DOMAIN}:${ip}`]),
    ...Object.entries(environment).flatMap(([key, value]) => ['--env', `${key}=${value}`]),
    ...Object.entries({ ...mounts, [certificate]: '/authority.crt' }).flatMap(([from, to]) => ['--volume', `${from}:${to}:ro`]),
    '--entrypoint', 'node', image, '--no-warnings', script)
  for (const other of others) await cli('network', 'connect', other, name)
  try {
    const printed = await cli('start', '--attach', name)
    return JSON.parse(printed.trim().split('\n').at(-1)!)
  } catch (error) {
    const { code, stdout } = error as { code?: number, stdout?: string }
    console.error(`${script} ended with ${code}: ${stdout}`)
    for (const service of stack!.services) await tell(service)
    throw error
  } finally {
    await cli('rm', '--force', name)
  }
}

/** Requests of a user about voice sessions, at the port that is published on this machine. @throws what is not answered 200 */
async function userOf ({ token }: Stack, user: string) {
  const authorization = `Bearer ${await token(user)}`
  return async (method: string, path: string, body?: object) => {
    const response = await fetch(`http://127.0.0.1:${servicePort}/api/v1/voice-sessions${path}`, { method, headers: { authorization, ...(body && { 'content-type': 'application/json' }) }, body: body && JSON.stringify(body) })
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
    return await response.json() as Record<string, any>
  }
}

/** Everything dies at once, in no order, and whoever runs it starts it again: as on a machine that lost its power. @returns how long until all is healthy, ms */
async function loseAll ({ engine, cli, container, services, healthy }: Stack): Promise<number> {
  const names = await Promise.all(services.map(container))
  const pids = await Promise.all(names.map(async (name) => Number((await cli('inspect', '--format', '{{.State.Pid}}', name)).trim())))
  for (const pid of pids) process.kill(pid, 'SIGKILL')
  const killed = performance.now()
  // Podman does not start one again while another that it needs is down; Docker does, as often as it takes.
  if (engine === 'Podman') {
    await until(async () => {
      for (const name of names) await cli('start', name).catch(() => {})
      return healthy(1000).then(() => true, () => false)
    }, HEALTHY_WITHIN)
  }
  await healthy(HEALTHY_WITHIN)
  return performance.now() - killed
}

/** A stream to the address and with the key that the service gives: when sound and picture were in the room, and what the session's status says. */
async function streamIn (stack: Stack, kind: 'rtmp' | 'whip') {
  const ask = await userOf(stack, 'streamer')
  const rooms = new RoomServiceClient('http://127.0.0.1:7880', env.LIVEKIT_API_KEY, env.LIVEKIT_API_SECRET)
  const { room_name: room } = await ask('POST', '/start', {})
  const { url, stream_key: key } = await ask('POST', `/${room}/ingress`, { kind })
  // The names are known to nobody here. Certificates are checked by those who come from outside.
  const push = () => kind === 'rtmp' ? pushRtmp(url.replace(DOMAIN, address), key) : pushWhip(url, key, [`--host-resolver-rules=MAP livekit.${DOMAIN}:443 ${address}:${httpsPort}`, '--ignore-certificate-errors'])
  let pusher = await push()
  try {
    const took = await until(async () => {
      // Ingress refuses while the machine has no core to spare; whoever sends tries again.
      if (pusher.isOver()) {
        await pusher.stop()
        pusher = await push()
      }
      return (await rooms.listParticipants(room)).some(({ kind, tracks }) => kind === Kind.INGRESS && tracks.length === 2)
    }, 60_000)
    if (took === Infinity) await tell('ingress')
    return { url, took, status: await ask('GET', `/${room}/status`) }
  } finally {
    await pusher.stop()
    await ask('DELETE', `/${room}`)
  }
}

/** Through the port that is published on this machine, as another address than the caller's. */
function fromHere (): Promise<number> {
  return new Promise((resolve, reject) => {
    httpsRequest({ host: '127.0.0.1', port: httpsPort, servername: DOMAIN, rejectUnauthorized: false, path: '/api/v1/voice-sessions/active', headers: { host: DOMAIN, authorization: 'Bearer none' } }, (response) => resolve(response.resume().statusCode!)).once('error', reject).end()
  })
}

await prove({
  'the whole compose file, in containers': async () => {
    const folder = await mkdtemp(join(tmpdir(), 'stack-proof-'))
    const { cli, container, services } = stack
    await stack.down().catch(() => {})
    try {
      const built = await stack.build()
      claim(`our images, built by ${stack.engine}`, true, Object.entries(built).map(([image, took]) => `${image} ${took.toFixed(0)} s`).join(', '))
      const cold = performance.now()
      await stack.up()
      await stack.healthy(HEALTHY_WITHIN)
      claim(`all ${services.length} containers healthy after`, true, seconds(performance.now() - cold))
      const faults = (await Promise.all(services.map((service) => contained(stack, service)))).flat()
      claim('each without root, capabilities, ways to more, or a place to write; limited in memory and processes', faults.length === 0, faults.join('; '))

      const inside = JSON.parse(await cli('exec', await container('service'), 'node', '-e', LOOK_INSIDE)) as { files: string[], packages: string[] }
      const named = await billOfMaterials()
      const unnamed = inside.packages.filter((one) => !named.has(one))
      claim('the service\'s image has what it runs and nothing of development; the bill of materials names all its packages', inside.files.join() === 'LICENSE,dist,node_modules,package.json,web' && unnamed.length === 0, `${inside.files.join(', ')}; ${inside.packages.length} packages${unnamed.length > 0 ? `, not named: ${unnamed.join(', ')}` : ''}`)
      const refusal = await cli('run', '--rm', 'livekit-sessions').then(() => ({ code: 0, stderr: '' }), (error: { code: number, stderr: string }) => error)
      claim('without its variables it ends with 1 and says which', refusal.code === 1 && /LIVEKIT_URL/.test(refusal.stderr), `${refusal.code}`)

      const root = fileURLToPath(new URL('../..', import.meta.url))
      if (services.includes('voice')) {
        const voice = await container('voice')
        const registered = await until(() => cli('exec', voice, 'node', '-e', "fetch('http://127.0.0.1:8081/readyz').then(({ ok }) => process.exit(ok ? 0 : 1))").then(() => true, () => false), HEALTHY_WITHIN)
        claim('the voice agent is LiveKit\'s to call after', registered < HEALTHY_WITHIN, seconds(performance.now() - cold))
        const talk = await outside(stack, { image: 'livekit-sessions-agents', folder, networks: ['edge', 'speech'], script: 'test/stack/talk.ts', mounts: { [`${root}agents/src`]: '/app/src', [`${root}agents/test`]: '/app/test' } })
        claim('a spoken question, asked through 443 with a checked certificate, is answered with what the tool said', talk.url === `wss://livekit.${DOMAIN}` && /23\W?1|twenty[- ]three/i.test(talk.answer), `"${talk.answer.trim()}", ${seconds(talk.toAnswer)} after it; greeting ${seconds(talk.toGreeting)} after the start of the session`)
        claim('and ended', talk.status.agent_connected && talk.status.participants === 2 && talk.ended === 200 && talk.after === 404)
        claim('from cold to that', true, seconds(performance.now() - cold))
      }
      if (services.includes('ingress')) {
        for (const [kind, address] of [['rtmp', `rtmp://${DOMAIN}:1935/live`], ['whip', `https://livekit.${DOMAIN}/w`]] as const) {
          const { url, took, status } = await streamIn(stack, kind)
          claim(`sound and picture, sent to ${address} as POST .../ingress says, are in the room, and counted as nobody`, url === address && took < Infinity && status.ingress.live && status.participants === 0, `${seconds(took)} after the first of them was sent`)
        }
      }
      const { session, tls, turn, http, address: limits } = await outside(stack, { image: 'livekit-sessions', folder, networks: ['edge'], script: '/edge.ts', mounts: { [`${root}dev/stack/edge.ts`]: '/edge.ts' } })
      claim('start, status, list, end through 443, and nothing there afterwards', session.url === `wss://livekit.${DOMAIN}` && session.statuses.join() === '200,200,200,200,404', session.statuses.join(', '))
      claim('TLS 1.2 and 1.3, nothing older', JSON.stringify(tls.protocols) === '{"TLSv1":false,"TLSv1.1":false,"TLSv1.2":true,"TLSv1.3":true}', JSON.stringify(tls.protocols))
      claim('ciphers of TLS 1.2 all with forward secrecy and authenticated', tls.ciphers.length > 0 && tls.ciphers.every((name: string) => /^ECDHE-.*(GCM|POLY1305)/.test(name)), tls.ciphers.join(', '))
      claim('HTTP/2; a name it does not serve, and another authority, end the handshake', tls.alpn === 'h2' && tls.unknownName && tls.otherAuthority, `${tls.alpn}, ${tls.unknownName}, ${tls.otherAuthority}`)
      claim('turns: on the same port reaches LiveKit\'s TURN server by its name', turn.type === '113' && turn.realm, `Allocate without credentials: ${turn.type}`)
      claim('HSTS for two years; no word of who serves', http.api === 200 && /max-age=63072000/.test(http.headers['strict-transport-security']) && !http.headers.server && !http.headers.via, JSON.stringify(http.headers))
      claim('what is internal is not there', Object.values(http.hidden).every((status) => status === 404 || status === 400), JSON.stringify(http.hidden))
      claim('of LiveKit its clients\' door only, and where WHIP is sent', http.livekit.door === 200 && http.livekit.api === 404 && http.livekit.workers === 404 && http.livekit.whip === (services.includes('ingress') ? 204 : 502), JSON.stringify(http.livekit))
      claim('http: sends to https:', http.plain.status === 308 && http.plain.location === `https://${DOMAIN}/api/docs`, JSON.stringify(http.plain))
      claim('limits count the client\'s own address, whatever it says, also past Caddy, and shut out nobody else', limits.after === 429 && limits.lying === 429 && limits.direct === 429 && await fromHere() === 401, JSON.stringify(limits))

      const stats = (await cli('stats', '--no-stream', '--format', '{{.Name}} {{.MemUsage}}', ...await Promise.all(services.map(container)))).trim()
      console.log(`memory:\n${stats.replace(/^/gm, '  ')}`)
      for (const [image] of Object.entries(built)) console.log(`size of ${image}: ${(Number((await cli('image', 'inspect', '--format', '{{.Size}}', image)).trim()) / 1e6).toFixed(0)} MB`)

      for (const round of ['first', 'second'] as const) {
        const ask = await userOf(stack, round)
        const { room_name: before } = await ask('POST', '/start', {})
        const took = await loseAll(stack)
        const { room_name: room } = await ask('POST', '/start', {})
        const agent = services.includes('voice') ? await until(async () => (await ask('GET', `/${room}/status`)).agent_connected, HEALTHY_WITHIN) : 0
        await ask('DELETE', `/${room}`)
        await ask('DELETE', `/${before}`)
        const { sessions } = await ask('GET', '/active')
        claim(`all killed at once, the ${round} time: each starts again by itself, a session ${agent === 0 ? '' : 'with its agent '}is started, and the one of before can be ended`, agent < Infinity && sessions.length === 0, `healthy after ${seconds(took)}${agent === 0 ? '' : `, the agent ${seconds(agent)} after the start`}`)
      }

      await stack.stop()
      const codes = await Promise.all(services.map(async (service) => ({ service, code: Number(await cli('inspect', '--format', '{{.State.ExitCode}}', await container(service))) })))
      claim('on SIGTERM each ends in order', codes.every(({ code }) => code === 0), codes.map(({ service, code }) => `${service} ${code}`).join(', '))
      for (const { service, code } of codes) if (code !== 0) await tell(service)
    } finally {
      if (process.env.KEEP !== '1') await stack.down()
      await stack.close()
      await rm(folder, { recursive: true, force: true })
    }
  }
})
