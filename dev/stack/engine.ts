// The containers of docker-compose.yml, by Docker where there is one, else by Podman with stand-ins for the images that cannot be pulled.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { parse } from 'yaml'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'livekit-sessions')
const PODMAN_COMPOSE = 'podman-compose==1.6.0'
/** Services that only Docker has, from a registry: egress is no Go module, and comes with a Chrome. */
const WITHOUT_STAND_IN = ['egress']

type Run = (program: string, ...args: string[]) => Promise<string>

/** One service of the compose file, as far as it is built and asked here. */
interface Service { profiles?: string[], image: string, build?: string | { context: string, dockerfile?: string }, depends_on?: Record<string, unknown> }

export interface Stack {
  engine: 'Docker' | 'Podman'
  /** Services of the profiles that are up; without Docker not those of which there is no stand-in. */
  services: string[]
  /** Builds our images, unchanged Dockerfiles; seconds of each. */
  build: () => Promise<Record<string, number>>
  /** Starts everything; resolves when all has been started, not when it is healthy. */
  up: () => Promise<void>
  /** Resolves once every health check is green. @throws with the log of those that are not, after `limit` ms */
  healthy: (limit: number) => Promise<void>
  /** The engine's own command line: `cli('inspect', ...)`. */
  cli: (...args: string[]) => Promise<string>
  /** The last lines of what a service said, or why they cannot be had. */
  logs: (service: string) => Promise<string>
  /** Name of a service's container. */
  container: (service: string) => Promise<string>
  network: (name: string) => string
  /** A user's token, as deploy/token.sh makes it in the running service. */
  token: (user: string) => Promise<string>
  /** Stops in order: whoever depends on another before it. */
  stop: () => Promise<void>
  /** Removes containers, networks and volumes. */
  down: () => Promise<void>
  /** Forgets the environment; what runs goes on. */
  close: () => Promise<void>
}

/**
 * @param env what `.env` would say
 * @returns undefined where no containers can be had: neither Docker, nor root on Debian with Podman, buildah, runc, mmdebstrap and Go
 */
export async function findStack ({ env, profiles, project }: { env: Record<string, string>, profiles: string[], project: string }): Promise<Stack | undefined> {
  const podmanEnv = { ...process.env, CONTAINERS_CONF: join(ROOT, 'dev/stack/containers.conf') }
  const run: Run = async (program, ...args) => (await promisify(execFile)(program, args, { cwd: ROOT, env: podmanEnv, maxBuffer: 64 * 1024 * 1024 })).stdout
  const works = (program: string, ...args: string[]) => run(program, ...args).then(() => true, () => false)

  const docker = await works('docker', 'info') && await works('docker', 'compose', 'version')
  const podman = async () => {
    for (const [program, ask] of Object.entries({ podman: 'info', buildah: '--version', runc: '--version', mmdebstrap: '--version', go: 'version', python3: '--version' })) if (!await works(program, ask)) return false
    return process.getuid?.() === 0
  }
  if (!docker && !await podman()) return undefined

  const folder = await mkdtemp(join(tmpdir(), 'stack-'))
  const envFile = join(folder, 'env')
  await writeFile(envFile, Object.entries(env).map(([name, value]) => `${name}=${value.includes('\n') ? JSON.stringify(value) : value}\n`).join(''), { mode: 0o600 })
  const described = parse(await readFile(join(ROOT, 'docker-compose.yml'), 'utf8'), { merge: true }) as { services: Record<string, Service> }
  const services = Object.entries(described.services).filter(([name, { profiles: its }]) => (docker || !WITHOUT_STAND_IN.includes(name)) && (!its || its.some((profile) => profiles.includes(profile))))

  const [program, ...first] = docker ? ['docker', 'compose'] : [await podmanCompose(run)]
  const options = ['--env-file', envFile, '-p', project, ...profiles.flatMap((name) => ['--profile', name])]
  const compose = (...args: string[]) => run(program!, ...first, ...options, ...args)
  const cli = (...args: string[]) => run(docker ? 'docker' : 'podman', ...args)
  const container = async (service: string) => (await cli('ps', '--all', '--filter', `label=com.docker.compose.project=${project}`, '--filter', `label=com.docker.compose.service=${service}`, '--format', '{{.Names}}')).trim()

  const logs = async (service: string) => {
    const given = await promisify(execFile)(docker ? 'docker' : 'podman', ['logs', '--tail', '30', await container(service)], { env: podmanEnv }).catch((error: Error) => ({ stdout: '', stderr: error.message }))
    return given.stdout + given.stderr
  }

  const isHealthy = async (service: string) => {
    const name = await container(service)
    if (docker) return (await cli('inspect', '--format', '{{.State.Health.Status}}', name)).trim() === 'healthy'
    // Podman leaves the schedule of health checks to systemd.
    return works('podman', 'healthcheck', 'run', name)
  }

  return {
    engine: docker ? 'Docker' : 'Podman',
    services: services.map(([name]) => name),
    async build () {
      const took: Record<string, number> = {}
      if (!docker) await run('dev/stack/stand-ins.sh', join(folder, 'stand-ins'), ...profiles)
      for (const [image, build] of new Map(services.flatMap(([, { image, build }]) => build ? [[image, build] as const] : []))) {
        const { context, dockerfile = 'Dockerfile' } = typeof build === 'string' ? { context: build } : build
        const began = performance.now()
        if (docker) await run('docker', 'build', '--quiet', '--tag', image, '--file', join(context, dockerfile), context)
        else await buildah(run, image, join(context, dockerfile), context)
        took[image] = (performance.now() - began) / 1000
      }
      return took
    },
    up: async () => { await compose('up', '--detach', ...(docker ? ['--no-build'] : services.map(([name]) => name))) },
    async healthy (limit) {
      const giveUp = performance.now() + limit
      for (const [service] of services) {
        while (!await isHealthy(service)) {
          if (performance.now() > giveUp) throw new Error(`${service} is not healthy:\n${await logs(service)}`)
          await sleep(500)
        }
      }
    },
    cli,
    logs,
    container,
    network: (name) => `${project}_${name}`,
    token: async (user) => (await promisify(execFile)('sh', ['deploy/token.sh', user], { cwd: ROOT, env: { ...podmanEnv, COMPOSE: [program, ...first, ...options].join(' ') } })).stdout.trim(),
    async stop () {
      // Docker's stops whoever depends on another before it, Podman's all at once.
      for (const names of docker ? [[]] : dependentsFirst(services)) await compose('stop', ...names)
    },
    // Whoever waits for calls is given no hour here.
    down: async () => { await compose('down', '--volumes', '--timeout', '10') },
    close: () => rm(folder, { recursive: true, force: true })
  }
}

/** Names of services, those first that no other one depends on; then those that only they depended on, and so on. */
function dependentsFirst (services: Array<[string, Service]>): string[][] {
  if (services.length === 0) return []
  const needed = new Set(services.flatMap(([, { depends_on: its = {} }]) => Object.keys(its)))
  return [services.flatMap(([name]) => needed.has(name) ? [] : [name]), ...dependentsFirst(services.filter(([name]) => needed.has(name)))]
}

/** Builds with what the machine's own clients use: registries, certificates, and Go with its caches. */
async function buildah (run: Run, image: string, dockerfile: string, context: string): Promise<void> {
  const go = async (name: string) => {
    const path = (await run('go', 'env', name)).trim()
    await mkdir(path, { recursive: true })
    return path
  }
  await run('buildah', 'bud', '--quiet', '--layers', '--format', 'docker', '--isolation', 'chroot', '--pull-never', '--network', 'host',
    '--env', `NPM_CONFIG_REGISTRY=${(await run('npm', 'config', 'get', 'registry')).trim()}`,
    '--volume', `${await go('GOROOT')}:/usr/local/go:ro`, '--volume', `${await go('GOMODCACHE')}:/root/go/pkg/mod`, '--volume', `${await go('GOCACHE')}:/root/.cache/go-build`,
    '--tag', image, '--file', dockerfile, context)
}

/** The podman-compose of a Python environment of its own, in the cache. */
async function podmanCompose (run: Run): Promise<string> {
  const folder = join(CACHE, PODMAN_COMPOSE.replace('==', '-'))
  const program = join(folder, 'bin/podman-compose')
  if (!existsSync(program)) {
    await mkdir(CACHE, { recursive: true })
    await run('python3', '-m', 'venv', folder)
    await run(join(folder, 'bin/pip'), 'install', '--quiet', '--disable-pip-version-check', PODMAN_COMPOSE)
  }
  return program
}
