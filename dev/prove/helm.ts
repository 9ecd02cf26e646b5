// npm run prove:helm: the chart, linted, rendered with little and with everything, and each rendering held to Kubernetes' own schemas and to our rules.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual, promisify } from 'node:util'
import { parse, parseAllDocuments } from 'yaml'
import { ConfigSchema } from '../../plugins/config.ts'
import { claim, prove } from './proof.ts'

const HELM = 'v3.22.0'
const VALIDATE = '1.37.0'
const KUBERNETES = ['1.25', '1.31', '1.37']
const CHART = fileURLToPath(new URL('../../deploy/helm', import.meta.url))
const api = JSON.parse(await readFile(new URL('../../openapi.json', import.meta.url), 'utf8'))
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'livekit-sessions')
const execute = promisify(execFile)
const run = async (program: string, ...args: string[]) => (await execute(program, args)).stdout

/** Helm: that of PATH, else built once with Go into the cache. */
async function findHelm (): Promise<string> {
  if (await run('helm', 'version').then(() => true, () => false)) return 'helm'
  const folder = join(cache, `helm-${HELM}`)
  const program = join(folder, 'helm')
  if (!existsSync(program)) {
    await mkdir(folder, { recursive: true })
    await execute('go', ['install', `helm.sh/helm/v3/cmd/helm@${HELM}`], { cwd: tmpdir(), env: { ...process.env, GOBIN: folder, GOTOOLCHAIN: 'local' } })
  }
  return program
}

/** kubernetes-validate, which brings the schemas along: in a Python environment of its own, in the cache. */
async function findValidator (): Promise<string> {
  const folder = join(cache, `kubernetes-validate-${VALIDATE}`)
  const program = join(folder, 'bin/kubernetes-validate')
  if (!existsSync(program)) {
    await run('python3', '-m', 'venv', folder)
    await run(join(folder, 'bin/pip'), 'install', '--quiet', '--disable-pip-version-check', `kubernetes-validate==${VALIDATE}`)
  }
  return program
}

// The worker that values.yaml gives as an example, as it stands there.
const example = parse(/The avatar for instance: (\{.*\})/.exec(await readFile(join(CHART, 'values.yaml'), 'utf8'))![1]!)
const prices = { volume: { name: 'prices', configMap: { name: 'calls-prices' } }, mount: { name: 'prices', mountPath: '/etc/prices', readOnly: true } }
const secrets = { serviceSecret: 'calls-service', agentsSecret: 'calls-agents' }
const least = { ...secrets, livekit: { url: 'wss://livekit.example.com' } }
const everything = {
  ...secrets,
  imagePullSecrets: [{ name: 'registry' }],
  livekit: { url: 'wss://livekit.example.com', apiUrl: 'http://livekit-0.livekit:7880, http://livekit-1.livekit:7880' },
  service: {
    image: { repository: 'registry.example.com/livekit-sessions', digest: `sha256:${'a'.repeat(64)}` },
    env: { LOG_LEVEL: 'debug', MAX_SESSIONS_PER_USER: 3, END_ON_AGENT_FAILURE: true, TRANSCRIPTS: 'on', PRICES_FILE: '/etc/prices/prices.json', TRUST_PROXY: '10.1.0.0/16' },
    extraVolumes: [prices.volume],
    extraVolumeMounts: [prices.mount],
    autoscaling: { enabled: true },
    ingress: { enabled: true, className: 'nginx', host: 'calls.example.com', tlsSecret: 'calls-tls', annotations: { 'cert-manager.io/cluster-issuer': 'letsencrypt' }, webhook: true }
  },
  agents: {
    voice: { image: { tag: '1.2.3' }, autoscaling: { enabled: true }, extraVolumes: [prices.volume], extraVolumeMounts: [prices.mount] },
    face: example
  },
  // The second are LiveKit's nodes: their own network is what its pods are in.
  networkPolicy: { ingressFrom: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'ingress-nginx' } } }, { ipBlock: { cidr: '10.0.0.0/24' } }] }
}
/** Values that are refused, and the word that says why. */
const refused: Array<[string, object, RegExp]> = [
  ['no secret', { livekit: least.livekit }, /serviceSecret/],
  ['no address', secrets, /url/],
  ['an address with a path', { ...least, livekit: { url: 'wss://livekit.example.com/rtc' } }, /url/],
  ['an unknown value', { ...least, replicas: 3 }, /replicas/],
  ['a worker that is no agent', { ...least, agents: { face: { replicas: 1 } } }, /agent/],
  ['an agent that there is not', { ...least, agents: { voice: { agent: 'singer' } } }, /agent/],
  ['an ingress without a name', { ...least, service: { ingress: { enabled: true } } }, /host/]
]

await prove({
  'the Helm chart': async () => {
    const [helm, validator] = [await findHelm(), await findValidator()]
    const folder = await mkdtemp(join(tmpdir(), 'helm-'))
    const values = async (given: object) => {
      const file = join(folder, 'values.json')
      await writeFile(file, JSON.stringify(given))
      return file
    }
    try {
      for (const [name, given] of Object.entries({ least, everything })) {
        const file = await values(given)
        const lint = await run(helm, 'lint', '--strict', CHART, '--values', file).then(() => '', (error: Error & { stdout?: string }) => error.stdout ?? error.message)
        claim(`lint, ${name}`, lint === '', lint)
        const rendered = await run(helm, 'template', 'calls', CHART, '--kube-version', KUBERNETES[0]!, '--values', file)
        const documents = parseAllDocuments(rendered).map((document) => document.toJSON()).filter(Boolean) as any[]
        await writeFile(join(folder, 'rendered.yaml'), rendered)
        for (const version of KUBERNETES) {
          const said = await run(validator, '--strict', '--kubernetes-version', version, join(folder, 'rendered.yaml')).then(() => '', (error: Error & { stdout?: string }) => `${error.stdout}${error.message}`)
          claim(`Kubernetes ${version} takes it, ${name}`, said === '', said || documents.map(({ kind }) => kind).join(', '))
        }

        const pods = documents.filter(({ kind }) => kind === 'Deployment').map(({ metadata, spec }) => ({ name: metadata.name, replicas: spec.replicas, ...spec.template.spec }))
        claim(`every pod without root, capabilities and a place to write, limited, asked how it is, ${name}`, pods.length > 0 && pods.every(({ securityContext, containers: [{ securityContext: own, resources, livenessProbe, readinessProbe, startupProbe }], automountServiceAccountToken }) =>
          securityContext.runAsNonRoot && own.readOnlyRootFilesystem && own.capabilities.drop[0] === 'ALL' && own.allowPrivilegeEscalation === false && automountServiceAccountToken === false &&
          resources.limits.memory && livenessProbe && readinessProbe && startupProbe), pods.map((pod) => pod.name).join(', '))
        claim(`files are mounted where they are wanted, and the registry is signed in to, ${name}`, pods.every(({ name: pod, volumes = [], imagePullSecrets, containers: [{ volumeMounts = [] }] }) => {
          const wanted = name === 'everything' && pod !== 'calls-agent-face'
          return wanted === volumes.some((one: object) => isDeepStrictEqual(one, prices.volume)) && wanted === volumeMounts.some((one: object) => isDeepStrictEqual(one, prices.mount)) && imagePullSecrets?.[0].name === (name === 'everything' ? 'registry' : undefined)
        }))
        const written = documents.flatMap(({ spec }) => spec?.template?.spec?.containers?.[0].env ?? []).filter(({ name: variable }: { name: string }) => /SECRET|PASSWORD|TOKEN|API_KEY/.test(variable))
        claim(`no secret in it, ${name}`, written.length === 0 && documents.every(({ kind }) => kind !== 'Secret'))
        const service = pods.find((pod) => pod.name === 'calls-service')!.containers[0]
        const variables = Object.fromEntries(service.env.map(({ name: variable, value }: { name: string, value: string }) => [variable, value]))
        claim(`migrations have ten minutes, ${name}`, service.startupProbe.periodSeconds * service.startupProbe.failureThreshold >= 600)
        claim(`the service is given what it knows, transcripts where they are wanted, and keys by its Secret alone, ${name}`, Object.keys(variables).every((variable) => variable in ConfigSchema.properties) &&
          variables.TRANSCRIPTS === ('service' in given ? 'on' : undefined) && service.envFrom[0].secretRef.name === secrets.serviceSecret, Object.keys(variables).join(', '))
        const policy = documents.find(({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.name === 'calls-service').spec.ingress[0]
        // A selector of all namespaces would leave out pods on their node's network, as LiveKit's are: its webhooks were lost.
        claim(`agents know where transcripts go, and may go there, and so may whoever is listed or, with no list, everybody, ${name}`, variables.SERVICE_URL === 'http://calls-service:3000' &&
          (name === 'least' ? policy.from === undefined : policy.from.some((peer: object) => 'podSelector' in peer) && everything.networkPolicy.ingressFrom.every((peer) => policy.from.some((one: object) => isDeepStrictEqual(one, peer)))))
        const selected = (kind: string) => documents.filter((document) => document.kind === kind).map(({ metadata }) => metadata.name)
        claim(`each Deployment has its budget and its network policy, ${name}`, [selected('PodDisruptionBudget'), selected('NetworkPolicy')].every((names) => names.sort().join() === pods.map((pod) => pod.name).sort().join()))
        const ways = documents.filter(({ kind }) => kind === 'Ingress').flatMap(({ spec }) => spec.rules[0].http.paths.map(({ path }: { path: string }) => path) as string[])
        const shut = Object.keys(api.paths).filter((path) => ways.every((way) => path !== way && !path.startsWith(`${way}/`)))
        claim(`its Ingress, where there is one, leads to all of the API, and to the webhook, which was asked for, ${name}`, name === 'least' ? ways.length === 0 : shut.length === 0 && ways.includes('/api/v1/livekit/webhook'), ways.length > 0 ? shut.join(', ') : '')
        const agents = pods.filter((pod) => pod.name.includes('-agent-'))
        claim(`a worker calls the one address that outlives any node, ${name}`, agents.every(({ containers: [{ env }] }) => env.find((one: { name: string }) => one.name === 'LIVEKIT_API_URL').value === given.livekit.url))
        claim(`a worker is given as long as its calls may last, ${name}`, agents.every(({ terminationGracePeriodSeconds, containers: [{ env }] }) => terminationGracePeriodSeconds > Number(env.find((one: { name: string }) => one.name === 'DRAIN_TIMEOUT').value)))
      }
      for (const [what, given, word] of refused) {
        const said = await run(helm, 'template', 'calls', CHART, '--kube-version', KUBERNETES[0]!, '--values', await values(given)).then(() => 'rendered', (error: Error & { stderr?: string }) => error.stderr ?? error.message)
        claim(`refused: ${what}`, said !== 'rendered' && word.test(said), word.test(said) ? '' : said)
      }
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }
})
