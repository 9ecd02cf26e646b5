// Traces: one of each start, down to the dispatch; the rest of a session's life linked to it; nothing in them that is nobody's business.
import { AgentDispatchClient } from 'livekit-server-sdk'
import t from 'tap'
import { startService } from '../dev/prove/service.ts'
import { freeTcpPort } from '../dev/livekit/livekit.ts'
import { joinRoom } from '../dev/livekit/participant.ts'
import { startTestWorker } from '../dev/livekit/test-worker.ts'
import { startCollector, tree, type Span } from '../dev/observe/otlp.ts'
import { signUserToken } from '../dev/demo/token.ts'
import { databaseFor, eventually, jwtSecret, livekitFor } from './helper.ts'
import type { Test } from 'tap'

const user = 'alice.private@example.com'
const token = signUserToken(jwtSecret, { sub: user, email: user })

/** The service as a process, on a LiveKit that tells it of its rooms. */
async function traced (t: Test, env: NodeJS.ProcessEnv) {
  const port = await freeTcpPort()
  const livekit = await livekitFor(t, { webhookUrl: `http://127.0.0.1:${port}/api/v1/livekit/webhook` })
  const service = await startService({
    PORT: String(port),
    LIVEKIT_URL: livekit.url,
    LIVEKIT_API_KEY: livekit.apiKey,
    LIVEKIT_API_SECRET: livekit.apiSecret,
    JWT_SECRET: jwtSecret,
    DATABASE_URL: await databaseFor(t),
    RECONCILE_INTERVAL: '1',
    AGENT_JOIN_TIMEOUT: '1',
    OTEL_BSP_SCHEDULE_DELAY: '100',
    ...env
  }, { flags: ['--import', `data:text/javascript,${encodeURIComponent(countLoaded)}`] })
  t.teardown(() => service.stop())
  const call = async (method: string, path: string, body?: object) => {
    const response = await fetch(`${service.url}/api/v1/voice-sessions${path}`, { method, headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) }, body: body && JSON.stringify(body) })
    return { status: response.status, body: await response.json() as any }
  }
  const metadataOf = async (room: string) => {
    const [dispatch] = await new AgentDispatchClient(livekit.url, livekit.apiKey, livekit.apiSecret).listDispatch(room)
    return JSON.parse(dispatch!.metadata)
  }
  return { livekit, service, call, metadataOf, lines: () => service.log().split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line)) }
}

/** Says at the end how much of OpenTelemetry was loaded, beside the API that the metrics bring along. */
const countLoaded = 'import { createRequire } from "node:module"; process.on("exit", () => console.log("opentelemetry modules: " + Object.keys(createRequire("file:///").cache).filter((file) => /opentelemetry.(?!api.)|fastify.otel/.test(file)).length))'

t.test('a start is one trace, and what follows is linked to it', async (t) => {
  const collector = await startCollector()
  t.teardown(() => collector.stop())
  const { livekit, service, call, metadataOf, lines } = await traced(t, { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test' })
  const find = (wanted: (span: Span) => unknown) => eventually(() => collector.spans.find(wanted))

  const { body: { room_name: room, token: joinToken } } = await call('POST', '/start', { agent_type: 'diet' })
  const start = await find(({ name }) => name === 'POST /api/v1/voice-sessions/start')
  await find(({ name, parent }) => parent === start!.id && name === 'UPDATE sessions')
  const sessionId = start!.attributes['session.id']
  t.match(start, { service: 'livekit-sessions', kind: 2, parent: '', status: 0, attributes: { 'http.request.method': 'POST', 'http.route': '/api/v1/voice-sessions/start', 'http.response.status_code': 200, 'session.id': /^[0-9a-f-]{36}$/ } })
  const below = collector.spans.filter(({ parent }) => parent === start!.id)
  t.same(below.map(({ name }) => name).sort(), ['INSERT sessions', 'UPDATE sessions', 'livekit.RoomService/CreateRoom'], tree(collector.spans, start!.traceId).join('\n'))
  t.match(below.find(({ name }) => name.startsWith('livekit')), { kind: 3, attributes: { 'rpc.system': 'twirp', 'rpc.service': 'livekit.RoomService', 'rpc.method': 'CreateRoom', 'http.response.status_code': 200 } })

  const told = await metadataOf(room)
  t.equal(told.session_id, sessionId)
  t.match(told.traceparent, new RegExp(`^00-${start!.traceId}-[0-9a-f]{16}-01$`), 'the agent goes on in this trace')

  await find(({ name, links }) => name === 'POST /api/v1/livekit/webhook' && links.includes(start!.traceId))
  await find(({ name, links }) => name === 'reconciler pass' && links.includes(start!.traceId))

  const worker = await startTestWorker({ url: livekit.url, apiKey: livekit.apiKey, apiSecret: livekit.apiSecret, agentName: 'voice-agent' })
  t.teardown(() => worker.stop())
  await joinRoom({ url: livekit.url, token: joinToken })
  const dispatch = await find(({ name, links }) => name === 'watchdog dispatch' && links.includes(start!.traceId))
  t.equal(dispatch!.parent, '', 'it is a trace of its own')
  t.equal(dispatch!.attributes['session.id'], sessionId)
  const job = await eventually(() => worker.jobs.find(({ room: its }) => its === room))
  t.equal(JSON.parse(job!.metadata).traceparent, `00-${dispatch!.traceId}-${dispatch!.id}-01`, 'the agent that comes later goes on in that one')

  t.equal((await call('DELETE', `/${room}`)).status, 200)
  await find(({ name, links }) => name === 'DELETE /api/v1/voice-sessions/:room_name' && links.includes(start!.traceId))
  t.equal((await call('GET', `/${room}/status`)).status, 404)
  const missing = await find(({ name }) => name === 'GET /api/v1/voice-sessions/:room_name/status')
  t.match(missing, { status: 0, message: '', events: [] }, 'what a client did wrong is no error of the service')

  const started = lines().find(({ msg }) => msg === 'voice session started')
  t.match(started, { trace_id: start!.traceId, span_id: start!.id, reqId: told.request_id, sessionId }, 'the log can be found from the trace')
  t.match(lines().find(({ msg }) => msg === 'agent missing: dispatching another'), { trace_id: dispatch!.traceId, span_id: dispatch!.id })

  const exported = collector.raw().toString('latin1')
  t.match(exported, 'deployment.environment.name')
  for (const secret of [user, room, 'alice', token, token.split('.')[2]!, joinToken, joinToken.split('.')[2], livekit.apiSecret, 'eyJ']) t.notOk(exported.includes(secret), `${secret.slice(0, 20)} is in no span`)
  const names = new Set(collector.spans.map(({ name }) => name))
  t.notOk([...names].some((name) => /livez|readyz|metrics|select 1/.test(name)), 'probes are no traces')
  t.ok(service.log().includes('"level":30'))
})

t.test('a caller who traces sees the start in his own trace, and what he calls it is not ours to change', async (t) => {
  const collector = await startCollector()
  t.teardown(() => collector.stop())
  const { service } = await traced(t, { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_SERVICE_NAME: 'sessions-eu' })
  const traceId = '0af7651916cd43dd8448eb211c80319c'
  await fetch(`${service.url}/api/v1/voice-sessions/active`, { headers: { authorization: `Bearer ${token}`, traceparent: `00-${traceId}-b7ad6b7169203331-01`, baggage: 'user=alice' } })
  const span = await eventually(() => collector.spans.find(({ traceId: its, kind }) => its === traceId && kind === 2))
  t.match(span, { service: 'sessions-eu', parent: 'b7ad6b7169203331' })
})

t.test('without an endpoint nothing of OpenTelemetry is loaded, and nobody is told of a trace', async (t) => {
  const { service, call, metadataOf, lines } = await traced(t, {})
  const { body: { room_name: room } } = await call('POST', '/start')
  t.notOk('traceparent' in await metadataOf(room))
  t.notOk('trace_id' in lines().find(({ msg }) => msg === 'voice session started'))
  await service.stop()
  t.match(service.log(), 'opentelemetry modules: 0\n')
})

t.test('a collector that is away is one line in the log, and costs nobody an answer', async (t) => {
  const { call, lines } = await traced(t, { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9', OTEL_EXPORTER_OTLP_TIMEOUT: '200' })
  t.equal((await call('POST', '/start')).status, 200)
  await eventually(() => lines().some(({ msg }) => msg === 'traces cannot be exported'), 10_000)
  t.equal((await call('GET', '/active')).status, 200)
  t.equal(lines().filter(({ msg }) => msg === 'traces cannot be exported').length, 1)
})

t.test('another protocol than the one that is spoken is refused by name', async (t) => {
  await t.rejects(traced(t, { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4317', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }), { message: /OTEL_EXPORTER_OTLP_PROTOCOL must be http\/protobuf/ })
})
