// docker-compose.yml and the images it names: each container is contained, each image pinned, no secret written down.
import { readFile } from 'node:fs/promises'
import ipaddr from 'ipaddr.js'
import t from 'tap'
import { parse } from 'yaml'
import { ConfigSchema } from '../plugins/config.ts'

interface Network { internal?: boolean, ipam?: { config: [{ subnet: string, ip_range: string }] } }
interface Service {
  build?: string | { context: string, dockerfile?: string }
  image: string
  restart?: string
  logging?: object
  user?: string
  read_only?: boolean
  cap_drop?: string[]
  security_opt?: string[]
  mem_limit?: string
  pids_limit?: number
  environment?: Record<string, string | number | null>
  command?: string[]
  volumes?: string[]
  ports?: string[]
  networks?: string[] | Record<string, { ipv4_address: string }>
  healthcheck?: object
}

const root = new URL('../', import.meta.url)
const read = (file: string) => readFile(new URL(file, root), 'utf8')
const { services, networks } = parse(await read('docker-compose.yml'), { merge: true }) as { services: Record<string, Service>, networks: Record<string, Network> }
const all = Object.entries(services)

const networksOf = ({ networks = [] }: Service) => Array.isArray(networks) ? networks : Object.keys(networks)

/** The Dockerfile of what is built here; nothing for what is pulled. */
async function dockerfileOf ({ build }: Service): Promise<string | undefined> {
  if (build === undefined) return undefined
  const { context, dockerfile = 'Dockerfile' } = typeof build === 'string' ? { context: build } : build
  return await read(`${context}/${dockerfile}`)
}

t.test('contains every container alike: read-only, no capability, no way to gain one, limits of memory, processes and logs', (t) => {
  for (const [name, service] of all) {
    t.match(service, {
      restart: 'unless-stopped',
      logging: { driver: 'json-file', options: { 'max-size': '10m', 'max-file': '5' } }, // what the collector reads; Docker's own is never cut
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      mem_limit: /^\d+[mg]$/,
      pids_limit: Number
    }, name)
    for (const key of ['cap_add', 'privileged', 'network_mode', 'pid', 'ipc', 'devices', 'env_file']) t.notOk(key in service, `${name}: ${key}`)
    for (const mount of service.volumes ?? []) t.match(mount, /^(\.\/deploy\/[^:]+:[^:]+:ro|[a-z-]+:\/[^:]+)$/, `${name}: ${mount}`)
  }
  t.end()
})

t.test('runs none as root', async (t) => {
  for (const [name, service] of all) {
    const user = service.user ?? /^USER (.*)$/m.exec(await dockerfileOf(service) ?? '')?.[1]
    t.match(user, /^[1-9]\d*(:[1-9]\d*)?$/, name)
  }
})

t.test('asks every container how it is', async (t) => {
  for (const [name, service] of all) t.ok(service.healthcheck ?? /^HEALTHCHECK /m.test(await dockerfileOf(service) ?? ''), name)
})

t.test('pins every image to a release, those that the Dockerfiles begin with too', async (t) => {
  const pinned = /^[a-z0-9./-]+:v?\d+\.\d+(\.\d+)?(-[a-z0-9.-]+)?$/
  for (const [name, service] of all) {
    const dockerfile = await dockerfileOf(service)
    if (dockerfile === undefined) t.match(service.image, pinned, name)
    for (const [, base = ''] of dockerfile?.matchAll(/^FROM (\S+)/gm) ?? []) t.match(base, pinned, `${name}: ${base}`)
  }
  // CVE-2025-49844 is in all before.
  const [, minor = 0, patch = 0] = /^redis:7\.(\d+)\.(\d+)-/.exec(services.redis!.image) ?? []
  t.ok(Number(minor) > 4 || (Number(minor) === 4 && Number(patch) >= 6), services.redis!.image)
})

t.test('gives each image that it builds a name of its own: two builds of one name run side by side, and one is refused', (t) => {
  const built = all.filter(([, { build }]) => build !== undefined).map(([, { image }]) => image)
  t.same(built.filter((image, at) => built.indexOf(image) !== at), [])
  t.end()
})

t.test('has one Node in all images, and it is one with long-term support', async (t) => {
  const bases = (await Promise.all(['Dockerfile', 'agents/Dockerfile'].map(read))).flatMap((file) => file.match(/^FROM node:\S+/gm) ?? [])
  t.equal(bases.length, 6)
  t.equal(new Set(bases).size, 1)
  t.match(bases[0], /^FROM node:24\./)
})

t.test('holds the Python packages of the speech servers to their hashes', async (t) => {
  for (const server of ['whisper', 'tts']) {
    t.match(await read(`agents/${server}/Dockerfile`), /pip install .*--require-hashes/)
    const requirements = (await read(`agents/${server}/requirements.txt`)).replaceAll('\\\n', ' ').split('\n').filter((line) => /^[a-z]/i.test(line))
    t.ok(requirements.length > 10)
    for (const line of requirements) t.match(line, /^[A-Za-z0-9_.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}/)
  }
})

t.test('the speech servers fetch nothing, and report to nobody', async (t) => {
  for (const server of ['whisper', 'tts']) t.match(await read(`agents/${server}/Dockerfile`), /^ENV HF_HUB_OFFLINE=1 ORT_DISABLE_TELEMETRY=1$/m, server)
})

t.test('takes each secret from the environment', (t) => {
  for (const [name, { environment = {}, command = [] }] of all) {
    for (const [key, value] of Object.entries(environment)) {
      if (/SECRET|PASSWORD|TOKEN|KEYS?$|_URL$/.test(key) && value !== null) t.match(String(value), /^(\$\{\w+(:[?-][^}]*)?\}.*|[a-z]+:\/\/([a-z]+:\$\{\w+[^}]*\}@)?([a-z.]|\$\{\w+[^}]*\})+(:\d+)?(\/\w*)*)$/, `${name}: ${key}`)
    }
    t.notMatch(command.join(' '), /pass|secret|token/i, name)
  }
  t.end()
})

t.test('passes every variable of the schema on to the service, save those that have no meaning in a container', (t) => {
  const here = Object.keys(services.service!.environment!)
  const without = ['LIVEKIT_WORKER_NUM_IDLE', 'DATA_DIR'] // the agents', and a PostgreSQL of its own
  t.same(Object.keys(ConfigSchema.properties).filter((name) => !here.includes(name)), without)
  t.end()
})

t.test('ingress and egress find the Redis, the LiveKit and the ports that the others name', async (t) => {
  const { ingress, egress, livekit } = services as Record<'ingress' | 'egress' | 'livekit', Service>
  const bodyOf = (text: string) => parse(text.replaceAll(/\$\{\w+:-([^}]*)\}/g, '$1')) as Record<string, any>
  const [server, recorder] = [bodyOf(await read('deploy/livekit.yaml')), bodyOf(await read('deploy/egress.yaml'))]
  const streams = bodyOf(String(ingress.environment!.INGRESS_CONFIG_BODY))

  for (const [name, service, config] of [['ingress', ingress, streams], ['egress', egress, recorder]] as const) {
    t.same(config.redis, server.redis, `${name}: LiveKit's Redis`)
    t.equal(service.environment!.LIVEKIT_WS_URL, `ws://livekit:${server.port}`, `${name}: LiveKit`)
    t.match(JSON.stringify(service.healthcheck), new RegExp(`http://127\\.0\\.0\\.1:${config.health_port}/`), `${name}: is asked where it answers`)
    for (const network of ['edge', 'data']) t.ok(networksOf(service).includes(network), `${name}: ${network}`)
  }

  t.same(ingress.ports, [`${streams.rtmp_port}:${streams.rtmp_port}`, `${streams.rtc_config.udp_port}:${streams.rtc_config.udp_port}/udp`])
  const [first = 0, last = 0] = String(server.rtc.udp_port).split('-').map(Number)
  t.notOk(streams.rtc_config.udp_port >= first && streams.rtc_config.udp_port <= last, 'a port of its own for media')
  t.match(livekit.environment!.LIVEKIT_INGRESS_RTMP_BASE_URL, new RegExp(`^rtmp://\\$\\{DOMAIN:-localhost\\}:${streams.rtmp_port}/`))
  const [, path = ''] = /^https:\/\/livekit\.\$\{DOMAIN:-localhost\}(\/\w+)$/.exec(String(livekit.environment!.LIVEKIT_INGRESS_WHIP_BASE_URL)) ?? []
  t.match(await read('deploy/caddy/Caddyfile'), new RegExp(`@whip path ${path} ${path}/\\*\\s+handle @whip \\{\\s*reverse_proxy ingress:${streams.whip_port}\\s`), 'the edge leads WHIP to it')
})

t.test('LiveKit has one network with a way out and takes media there, and whoever sends it media is in that one', async (t) => {
  const { rtc } = parse(await read('deploy/livekit.yaml')) as { rtc: { ips: { includes: string[] } } }
  t.same(rtc.ips.includes, networks.edge!.ipam!.config.map(({ subnet }) => subnet))
  t.same(networksOf(services.livekit!).filter((name) => !networks[name]!.internal), ['edge'])
  for (const name of ['caddy', 'voice', 'ingress', 'egress']) t.ok(networksOf(services[name]!).includes('edge'), name)
})

t.test('no container is given the last address of its network, which Podman would, or that of Caddy', (t) => {
  const { subnet, ip_range: range } = networks.edge!.ipam!.config[0]
  const [whole, given] = [subnet, range].map((cidr) => ipaddr.IPv4.parseCIDR(cidr)) as [[ipaddr.IPv4, number], [ipaddr.IPv4, number]]
  const last = ipaddr.IPv4.broadcastAddressFromCIDR(subnet)
  t.ok(last.match(whole) && !last.match(given), `${last}`)
  const { edge } = services.caddy!.networks as Record<string, { ipv4_address: string }>
  const caddy = ipaddr.IPv4.parse(edge!.ipv4_address)
  t.ok(caddy.match(whole) && !caddy.match(given), `${caddy}`)
  t.end()
})

t.test('believes X-Forwarded-For from Caddy alone', (t) => {
  const { edge } = services.caddy!.networks as Record<string, { ipv4_address: string }>
  t.equal(services.service!.environment!.TRUST_PROXY, `\${TRUST_PROXY:-${edge!.ipv4_address}}`)
  t.end()
})
