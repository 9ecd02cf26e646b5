import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { bearer, buildEdge, claims, hs256, type Edge } from '../helper-edge.ts'

async function counts ({ app }: Edge): Promise<Record<string, number>> {
  const metric = await app.metrics.getSingleMetric('http_request_duration_seconds')!.get()
  const values = metric.values as Array<{ metricName?: string, labels: Record<string, string>, value: number }>
  return Object.fromEntries(values.filter(({ metricName }) => metricName === 'http_request_duration_seconds_count').map(({ labels, value }) => [`${labels.operation} ${labels.method} ${labels.status}`, value]))
}

t.test('each request is counted by operation, method and kind of status', async (t) => {
  const edge = await buildEdge(t)
  const headers = bearer(hs256(claims()))
  await edge.app.inject({ url: '/me', headers })
  await edge.app.inject({ url: '/me', headers })
  await edge.app.inject({ method: 'HEAD', url: '/me', headers })
  await edge.app.inject('/me')
  await edge.app.inject('/deadline')
  await edge.app.inject({ url: '/rooms/room-1', headers })
  await edge.app.inject({ method: 'POST', url: '/me' })
  t.strictSame(await counts(edge), {
    'getMe GET 2xx': 2,
    'getMe HEAD 2xx': 1,
    'getMe GET 4xx': 1,
    '/deadline GET 2xx': 1,
    '/rooms/:room_name GET 2xx': 1,
    'none POST 4xx': 1
  })
})

t.test('durations are seconds', async (t) => {
  const edge = await buildEdge(t, {}, (app) => { app.get('/slow', async () => new Promise((resolve) => setTimeout(resolve, 60, 'late'))) })
  await edge.app.inject('/slow')
  const text = await edge.app.metrics.metrics()
  t.match(text, /http_request_duration_seconds_bucket\{le="0\.05",operation="\/slow",method="GET",status="2xx"\} 0\n/)
  t.match(text, /http_request_duration_seconds_bucket\{le="5",operation="\/slow",method="GET",status="2xx"\} 1\n/)
  t.match(text, /process_cpu_user_seconds_total/, 'and the process is measured')
})

t.test('no client makes more series than there are routes', async (t) => {
  const edge = await buildEdge(t, { RATE_LIMIT_PER_MINUTE: '0', LOG_LEVEL: 'silent' })
  const method = fc.constantFrom('GET', 'POST', 'TRACE', 'PROPFIND', 'MKCOL', 'LOCK', 'QUERY', 'M-SEARCH')
  await fc.assert(fc.asyncProperty(method, fc.webPath(), async (method, path) => {
    await edge.app.inject({ method: method as 'GET', url: path || '/' })
  }), { numRuns: 200 })
  const keys = Object.keys(await counts(edge))
  t.ok(keys.every((key) => /^none (GET|POST|other) 4xx$/.test(key)), keys.join())
  t.ok(keys.length <= 3)
})

t.test('two apps in one process keep apart, and a closed one leaves nothing', async (t) => {
  const one = await buildEdge(t)
  const two = await buildEdge(t)
  await one.app.inject('/deadline')
  t.strictSame(await counts(two), {})
  await one.app.close()
  t.strictSame(await one.app.metrics.getMetricsAsJSON(), [])
})

t.test('measuring keeps no process alive', async (t) => {
  const script = "import('./plugins/metrics.ts').then(async ({ default: metrics }) => { const { default: Fastify } = await import('fastify'); const app = Fastify(); await app.register(metrics); await app.ready(); console.log('ready') })"
  const { stdout } = await promisify(execFile)(process.execPath, ['--import=tsx', '--input-type=module', '-e', script], { timeout: 20_000 })
  t.equal(stdout, 'ready\n')
})
