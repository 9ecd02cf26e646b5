// The profile observe: nothing of it beyond this machine, every container contained, and what its parts name of each other is there.
import { execFile } from 'node:child_process'
import { access, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { parse } from 'yaml'

interface Service { image: string, user: string, entrypoint?: string[], healthcheck?: { test: string[] }, logging: object, profiles: string[], read_only: boolean, cap_drop: string[], cap_add?: string[], security_opt: string[], mem_limit: string, pids_limit: number, ports?: string[], volumes?: string[] }

const folder = new URL('../deploy/', import.meta.url)
const read = async (file: string) => await readFile(new URL(file, folder), 'utf8')
const yaml = async (file: string) => parse(await read(file), { merge: true })
const services = Object.entries((await yaml('observe/compose.yml')).services as Record<string, Service>)

t.test('is part of the compose file, and starts only when it is asked for', async (t) => {
  t.same((await yaml('../docker-compose.yml')).include, ['deploy/observe/compose.yml'])
  for (const [name, { profiles }] of services) t.same(profiles, ['observe'], name)
})

t.test('listens on this machine only, from contained containers of pinned images', (t) => {
  for (const [name, service] of services) {
    for (const port of service.ports ?? []) t.match(port, /^127\.0\.0\.1:/, name)
    t.match(service.image, /:v?\d+\.\d+\.\d+$/, name)
    t.match(service, { logging: { driver: 'json-file', options: { 'max-size': '10m', 'max-file': '5' } }, read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'], mem_limit: /^\d+[mg]$/, pids_limit: Number }, name)
    // The logs that Docker keeps are root's alone: whoever reads them is root, and may do that beside what any user may.
    t.same(service.cap_add ?? [], name === 'otel-collector' ? ['DAC_READ_SEARCH'] : [], name)
    t.match(service.user, name === 'otel-collector' ? /^0$/ : /^[1-9]\d*(:\d+)?$/, name)
  }
  t.end()
})

t.test('asks each container how it is, where its image has a program to ask with', (t) => {
  t.same(services.filter(([, { healthcheck }]) => healthcheck === undefined).map(([name]) => name), ['jaeger', 'loki', 'otel-collector'])
  for (const [name, { healthcheck }] of services) if (healthcheck) t.match(healthcheck.test, ['CMD', 'wget', '-q', '-O', '/dev/null', /^http:\/\/127\.0\.0\.1:\d+\//], name)
  t.end()
})

t.test('mounts what is there, and names its neighbours by their names', async (t) => {
  const names = services.map(([name]) => name)
  for (const [name, { volumes = [] }] of services) {
    for (const [source = ''] of volumes.map((volume) => volume.split(':'))) if (source.startsWith('.')) await t.resolves(access(new URL(source, new URL('observe/', folder))), `${name}: ${source}`)
  }
  const addresses = [...`${await read('observe/otel-collector.yaml')}${await read('grafana/provisioning/datasources/datasources.yaml')}`.matchAll(/http:\/\/([\w-]+):/g)].map(([, name]) => name!)
  t.same(addresses.filter((name) => !names.includes(name)), [])
  const deployed = [...names, ...Object.keys((await yaml('../docker-compose.yml')).services)]
  const scraped = [...(await read('prometheus/prometheus.yml')).matchAll(/'([\w-]+):\d+'/g)].map(([, name]) => name!)
  t.ok(scraped.length >= 4)
  t.same(scraped.filter((name) => !deployed.includes(name)), [])
})

t.test('looks at the names that the edge serves, as DOMAIN has them, by a module that is there', async (t) => {
  const [, { entrypoint = [] } = {}] = services.find(([name]) => name === 'prometheus')!
  const { scrape_configs: jobs } = await yaml('prometheus/prometheus.yml') as { scrape_configs: Array<{ job_name: string, params?: { module: string[] }, file_sd_configs?: Array<{ files: string[] }> }> }
  const job = jobs.find(({ job_name: name }) => name === 'blackbox')!
  t.ok(job.params!.module[0]! in (await yaml('observe/blackbox.yml')).modules)
  t.same(entrypoint, ['/bin/sh', '/etc/prometheus/start.sh', job.file_sd_configs![0]!.files[0], '/bin/prometheus'])

  const file = join(t.testdir(), 'addresses.json')
  const start = async (env: NodeJS.ProcessEnv) => (await promisify(execFile)('sh', [fileURLToPath(new URL('prometheus/start.sh', folder)), file, 'echo', '--config.file=x'], { env: { PATH: process.env.PATH, ...env } })).stdout
  t.equal(await start({ DOMAIN: '' }), '--config.file=x\n')
  await t.rejects(access(file), 'without the edge there are none')
  t.equal(await start({ DOMAIN: 'calls.example.com' }), '--config.file=x\n')
  const [{ targets }] = JSON.parse(await readFile(file, 'utf8')) as [{ targets: string[] }]
  t.same(targets.map((target) => target.replace('calls.example.com:443', '{$DOMAIN}')), (await read('caddy/Caddyfile')).match(/^(\w+\.)?\{\$DOMAIN\}(?= \{)/gm))
})

t.test('each panel asks a source that is provisioned, and says what it shows', async (t) => {
  const { datasources } = await yaml('grafana/provisioning/datasources/datasources.yaml') as { datasources: Array<{ uid: string }> }
  const uids = datasources.map(({ uid }) => uid)
  for (const file of await readdir(new URL('grafana/dashboards/', folder))) {
    const { uid, title, panels } = JSON.parse(await read(`grafana/dashboards/${file}`)) as { uid: string, title: string, panels: Array<{ title: string, datasource: { uid: string }, targets: Array<{ expr: string, datasource: { uid: string } }> }> }
    t.equal(uid, `livekit-sessions-${file.replace('.json', '')}`)
    t.ok(title && panels.length > 5, file)
    for (const panel of panels) {
      t.ok(panel.title, file)
      for (const one of [panel, ...panel.targets]) t.ok(uids.includes(one.datasource.uid), `${file}: ${panel.title}`)
    }
  }
})
