// Connections and descriptors: a flood displaces itself, nothing stays open of a client that does not read its answers, and none holds up the end.
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import config from '../../plugins/config.ts'
import Fastify, { type FastifyInstance } from 'fastify'
import errors from '../../plugins/http/errors.ts'
import http, { serverOptions } from '../../plugins/http/index.ts'
import limits from '../../plugins/limits/index.ts'
import metrics from '../../plugins/metrics.ts'
import swagger from '../../plugins/swagger.ts'
import { env } from '../helper-edge.ts'

async function listen (t: Test, { maxConnections, environment = {} }: { maxConnections?: number, environment?: NodeJS.ProcessEnv } = {}) {
  const lines: Array<Record<string, unknown>> = []
  const proxies = new net.BlockList()
  const app = Fastify(serverOptions(proxies, { write: (line) => { lines.push(JSON.parse(line)) } }))
  t.teardown(() => app.close())
  await app.register(config, { environment: { ...env, LOG_LEVEL: 'info', RATE_LIMIT_PER_MINUTE: '0', ...environment } })
  await app.register(metrics)
  await app.register(limits)
  await app.register(errors)
  await app.register(http, { proxies, maxConnections })
  await app.register(swagger)
  app.get('/slow', async () => new Promise((resolve) => { setTimeout(resolve, 300, 'done') }))
  await app.listen({ host: '127.0.0.1', port: 0 })
  return { app, lines }
}

const connect = ({ server }: FastifyInstance) => {
  const socket = net.connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => {})
  return socket
}
const openFiles = () => readdirSync('/proc/self/fd').length

t.test('answers that nobody reads hold no file open, and are given up with their connection', { skip: process.platform !== 'linux' && 'counts descriptors in /proc' }, async (t) => {
  const { app } = await listen(t)
  const request = 'GET /api/docs/static/swagger-ui-bundle.js HTTP/1.1\r\nHost: a\r\n\r\n'
  const given: Array<Promise<unknown>> = []
  app.server.on('request', (_request, reply) => { given.push(once(reply, 'close')) })
  const before = openFiles()
  for (let n = 0; n < 10; n++) {
    const socket = connect(app)
    const had = given.length
    socket.pause().write(request.repeat(20))
    while (given.length === had) await new Promise((resolve) => { setTimeout(resolve, 5) })
    await new Promise((resolve) => { setTimeout(resolve, 50) }) // Node takes in as many as it likes
    socket.destroy()
  }
  t.ok(given.length > 50, `${given.length} requests`)
  await Promise.all(given)
  for (let n = 0; n < 40 && openFiles() > before + 12; n++) await new Promise((resolve) => { setTimeout(resolve, 50) })
  t.ok(openFiles() <= before + 12, `${openFiles() - before} more than before`)
})

t.test('the page is whole, and comes from memory', async (t) => {
  const { app } = await listen(t)
  const first = await app.inject('/api/docs/static/swagger-ui-bundle.js')
  const second = await app.inject('/api/docs/static/swagger-ui-bundle.js')
  t.equal(first.statusCode, 200)
  t.ok(first.rawPayload.length > 1_000_000)
  t.ok(first.rawPayload.equals(second.rawPayload))
  t.equal(second.headers['content-length'], String(first.rawPayload.length))
  t.notMatch((await app.inject('/api/docs/')).headers['content-security-policy'], /unsafe/)
  t.equal((await app.inject({ method: 'HEAD', url: '/api/docs/static/swagger-ui-bundle.js' })).statusCode, 200)
  t.match((await app.inject('/api/docs/static/swagger-initializer.js')).body, /SwaggerUIBundle/)
  t.equal((await app.inject('/api/docs/static/swagger-ui.css')).headers['content-type'], 'text/css; charset=utf-8')
  for (const odd of ['nothing.js', '/swagger-ui.css', '%2e%2e%2fpackage.json', 'constructor', '__proto__']) t.equal((await app.inject(`/api/docs/static/${odd}`)).statusCode, 404, odd)
})

t.test('API_DOCS=off: neither page nor document', async (t) => {
  const { app } = await listen(t, { environment: { API_DOCS: 'off' } })
  for (const path of ['/api/docs', '/api/docs/', '/api/docs/json', '/api/docs/static/swagger-ui-bundle.js']) t.equal((await app.inject(path)).statusCode, 404, path)
})

t.test('too many connections: the one that was idle for longest goes, who waits for an answer stays', async (t) => {
  const { app, lines } = await listen(t, { maxConnections: 20 })
  t.match(lines.find(({ msg }) => msg === 'connections are limited'), { limit: 20 })
  const busy = connect(app)
  const answer = once(busy, 'data')
  busy.write('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n')
  await once(app.server, 'request')
  const silent = Array.from({ length: 200 }, () => connect(app))
  const closed = silent.map((socket) => once(socket, 'close'))
  await Promise.all(closed.slice(0, 100))
  t.match(String(await answer), /200 OK[\s\S]*done/, 'it was first, and it was answered')

  const another = connect(app)
  another.write('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n')
  t.match(String(await once(another, 'data')), /200 OK/, 'others are served')
  t.equal(lines.filter(({ msg }) => msg === 'too many connections: idle ones are closed').length, 1, 'said once')
  for (const socket of [busy, another, ...silent]) socket.destroy()
})

t.test('when it closes it waits for answers, not for connections that never asked or whose answer has come', async (t) => {
  const { app } = await listen(t)
  const [silent, busy, halfway] = [connect(app), connect(app), connect(app)]
  const ends = [silent, busy, halfway].map((socket) => once(socket, 'close'))
  await Promise.all([silent, busy, halfway].map((socket) => once(socket, 'connect')))
  const answer = once(busy, 'data')
  busy.write('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n')
  await once(app.server, 'request')
  const closed = app.close()
  while (app.server.listening) await new Promise((resolve) => { setImmediate(resolve) })
  halfway.write('GET /slow HTTP/1.1\r\n')
  const late = once(halfway, 'data')
  halfway.write('Host: a\r\n\r\n')
  t.match(String(await answer), /200 OK[\s\S]*done/, 'who asked before is answered')
  t.match(String(await late), /200 OK[\s\S]*connection: close[\s\S]*done/i, 'and who was about to ask')
  await Promise.all([...ends, closed])
})
