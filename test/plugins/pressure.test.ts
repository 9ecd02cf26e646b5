import { BlockList } from 'node:net'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import config from '../../plugins/config.ts'
import errors from '../../plugins/http/errors.ts'
import http, { serverOptions } from '../../plugins/http/index.ts'
import limits from '../../plugins/limits/index.ts'
import metrics from '../../plugins/metrics.ts'
import pressure from '../../plugins/pressure.ts'
import { env, problem } from '../helper-edge.ts'

async function build (t: Test, maxEventLoopDelay: number, sampleInterval = 50) {
  const lines: Array<Record<string, unknown>> = []
  const proxies = new BlockList()
  const app = Fastify(serverOptions(proxies, { write: (line) => { lines.push(JSON.parse(line)) } }))
  t.teardown(() => app.close())
  await app.register(config, { environment: { ...env, LOG_LEVEL: 'info' } })
  await app.register(metrics)
  await app.register(limits)
  await app.register(errors)
  await app.register(http, { proxies })
  await app.register(pressure, { maxEventLoopDelay, sampleInterval })
  app.get('/task', async () => 'done')
  app.get('/livez', { config: { pressureHandler: () => {} } }, async () => 'alive')
  await app.ready()
  return { app, lines }
}

/** Keeps the event loop busy, `length` ms at a time. */
async function block (rounds: number, length: number) {
  for (let round = 0; round < rounds; round++) {
    const until = performance.now() + length
    while (performance.now() < until);
    await new Promise((resolve) => setImmediate(resolve))
  }
}

t.test('a lagging event loop refuses at once and says when to come back', async (t) => {
  const { app, lines } = await build(t, 30)
  await block(4, 60)
  const response = await app.inject('/task')
  t.equal(response.statusCode, 503)
  t.equal(response.headers['retry-after'], '1')
  t.strictSame(response.json(), problem(response, 503, 'Service Unavailable', 'service-unavailable', 'The service is not available right now. Try again later.'))
  t.match(lines, [{ level: 50, msg: 'request failed', status: 503, err: { code: 'OVERLOADED' } }])
  t.equal((await app.inject('/livez')).statusCode, 200, 'an exempt route answers')

  const patience = performance.now() + 10_000
  while ((await app.inject('/task')).statusCode !== 200 && performance.now() < patience) await new Promise((resolve) => setTimeout(resolve, 50))
  t.equal((await app.inject('/task')).statusCode, 200, 'and so does the rest once it is over')
})

t.test('a lag that is allowed refuses nothing', async (t) => {
  const { app } = await build(t, 5000, 400)
  await block(60, 20)
  t.equal((await app.inject('/task')).statusCode, 200)
})
