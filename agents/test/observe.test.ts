// Seen from outside: one conversation with one tool call is one trace, and no word of it is in there; each panel of the dashboards has something to show.
// ALSO_TRACE_TO=http://127.0.0.1:4318 shows the trace in a Jaeger as well.
import { ROOT_CONTEXT, propagation, SpanKind } from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { startCollector, tree, type Collector, type Span } from '../../dev/observe/otlp.ts'
import { startPrometheus, type Prometheus } from '../../dev/observe/prometheus.ts'
import { find } from '../../dev/find.ts'
import { run } from '../../dev/observe/promtool.ts'
import { call } from './support/caller.ts'
import { WEATHER } from './support/mcp-server.ts'
import { freePort, start, until, type Started } from './support/processes.ts'
import { agentJoins } from './support/session.ts'
import { FOLDER } from './support/speech.ts'
import { startWholeStage, type WholeStage } from './support/stage.ts'

const USER = 'alice@example.com'
const QUESTION = 'What is the weather in Paris today?'

let collector: Collector
let stage: WholeStage
let prometheus: Prometheus | undefined
let probe: Started | undefined
let startProbe: () => Started
before(async () => {
  collector = await startCollector(process.env.ALSO_TRACE_TO)
  const OTEL = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: '200' }
  stage = await startWholeStage({ env: OTEL, serviceEnv: { ...OTEL, LOG_LEVEL: 'info', TRANSCRIPTS: 'on', TRANSCRIPT_KEYS: randomBytes(32).toString('base64') } })
  const probePort = await freePort()
  const host = (url: string) => new URL(url).host
  if (await find('prometheus')) prometheus = await startPrometheus({ sessions: { targets: [host(stage.service.url)] }, agents: { targets: [host(stage.worker.url)] }, probe: { targets: [`127.0.0.1:${probePort}`] } })
  else console.log('Prometheus is not installed: the dashboards are not put to it')
  startProbe = () => start(process.execPath, ['--import', 'tsx', join(FOLDER, 'src/probe.ts'), '--url', stage.service.url, '--every', '1s', '--port', String(probePort)], { cwd: FOLDER, env: { PROBE_TOKEN: stage.service.token('probe') } })
})
after(async () => {
  await probe?.stop(1000)
  await prometheus?.stop()
  await stage?.stop()
  await collector?.stop()
})

/** The tool server's own spans: one for each request that came with a trace. */
async function spansOfToolServer (): Promise<void> {
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
  const provider = new NodeTracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'mcp-server' }),
    spanProcessors: [new SimpleSpanProcessor(new OTLPTraceExporter({ url: `${collector.url}/v1/traces` }))]
  })
  for (const { method = 'stream', headers, startedAt, endedAt } of stage.mcp.requests) {
    if (headers.traceparent) provider.getTracer('mcp').startSpan(method, { kind: SpanKind.SERVER, startTime: startedAt }, propagation.extract(ROOT_CONTEXT, headers)).end(endedAt)
  }
  await provider.shutdown()
}

test('a conversation with a tool is one trace, of which no word is told', async () => {
  const { livekit, service, speech, mcp, model, worker } = stage
  const session = await service.start(USER, 'workout', { transcript: true, summary: true })
  const agent = await agentJoins(livekit, session.roomName)
  const joined = performance.now()
  const caller = await call(livekit, session.roomName, USER, undefined, session.token)
  await caller.hearsSilence(await caller.hears(joined))
  const { endedAt } = await caller.say(await speech.speak(QUESTION))
  await caller.hearsSilence(await caller.hears(endedAt), 900)
  assert.equal(mcp.calls.length, 1)
  await service.end(USER, session.roomName)
  await caller.leave()

  const first = await until('the start is exported', () => collector.spans.find(({ name }) => name === 'POST /api/v1/voice-sessions/start'))
  const mine = () => collector.spans.filter(({ traceId }) => traceId === first.traceId)
  await until('the job is exported', () => mine().find(({ name }) => name === 'agent job'))
  await spansOfToolServer()
  console.log(tree(collector.spans, first.traceId).join('\n'))

  const one = (wanted: (span: Span) => boolean, what: string): Span => {
    const found = mine().find(wanted)
    assert.ok(found, what)
    return found
  }
  const parentOf = (span: Span) => mine().find(({ id }) => id === span.parent)
  const job = one(({ name }) => name === 'agent job', 'the job')
  assert.equal(job.parent, first.id)
  assert.equal(job.attributes['session.id'], first.attributes['session.id'])
  assert.equal(one(({ name }) => name === 'join room', 'the join').parent, job.id)
  one(({ name }) => name === 'POST /v1/audio/transcriptions', 'the recognition')
  const thoughts = mine().filter(({ name }) => name === 'POST /v1/chat/completions')
  assert.match(String(model.requests.at(-1)!.messages[0]!.content), /^Summarise/)
  assert.equal(thoughts.length, model.requests.length, 'the thought that asks the tool, the one that tells of it, and the summary after the end')
  one(({ name }) => name === 'POST /v1/audio/speech', 'the voice')
  const tool = one(({ attributes }) => attributes['lk.function_tool.name'] === 'get_weather' || attributes['gen_ai.tool.name'] === 'get_weather', 'the tool call')
  const asked = one(({ name, service }) => name === 'tools/call' && service === 'mcp-server', 'the tool server\'s own span')
  assert.equal(parentOf(asked)?.name, 'POST /mcp')
  assert.equal(parentOf(asked)!.parent, tool.parent, 'both belong to the same turn')
  const sounds = mine().filter(({ name }) => name === 'agent_speaking')
  assert.ok(sounds.some((sound) => sound.start > asked.start - 100), 'the first sound of the answer')
  one(({ attributes }) => attributes['gen_ai.request.model'] === 'scripted', 'model calls by the GenAI conventions')

  const line = worker.lines().find(({ msg }) => msg === 'agent spoke')
  assert.deepEqual({ trace: line?.trace_id, span: line?.span_id }, { trace: first.traceId, span: job.id })

  // Everything that leaves the two programs: traces as they were sent, logs at info, metrics.
  const metrics = await Promise.all([`${service.url}/metrics`, `${worker.url}/metrics`].map(async (url) => (await fetch(url)).text()))
  const told: Record<string, string> = { traces: collector.raw().toString('latin1'), logs: worker.output() + service.log(), metrics: metrics.join('') }
  const prompt = String(model.requests[0]!.messages[0]!.content)
  assert.ok(prompt.length > 200)
  const secrets = { words: 'weather in', result: WEATHER.slice(6, 30), argument: '"city"', prompt: prompt.slice(0, 40), 'prompt (end)': prompt.slice(-40), token: session.token, jwt: service.token(USER).split('.')[1]!, identity: agent.identity === '' ? 'none' : 'eyJ' }
  for (const [where, text] of Object.entries(told)) {
    assert.ok(text.length > 1000, where)
    for (const [what, secret] of Object.entries(secrets)) assert.ok(!text.includes(secret), `${what} is in the ${where}`)
    if (where !== 'logs') assert.ok(!text.includes(USER), `the user is in the ${where}`)
  }
  const promtool = await find('promtool')
  if (promtool) for (const input of metrics) assert.deepEqual(await run(promtool, ['check', 'metrics'], { input }), { code: 0, printed: '' })
  for (const part of ['recognition', 'end_of_turn', 'model', 'tool', 'speech']) assert.match(metrics[1]!, new RegExp(`agents_turn_part_seconds_count\\{part="${part}"\\} [1-9]`))
  assert.match(metrics[1]!, /agents_first_sound_seconds_count 1\n/)
})

interface Panel { title: string, targets: Array<{ expr: string }> }

test('each panel of each dashboard has something to show after a short load', { timeout: 120_000 }, async () => {
  if (!prometheus) return
  probe = startProbe()
  await until(() => `three calls of the probe:\n${probe!.output()}`, () => probe!.output().split('\n').filter((line) => line.includes('"ok":true')).length >= 3, 90_000)
  const folder = join(FOLDER, '../deploy/grafana/dashboards')
  const files = await readdir(folder)
  assert.equal(files.length, 4)
  const empty: string[] = []
  for (const file of files) {
    const { panels } = JSON.parse(await readFile(join(folder, file), 'utf8')) as { panels: Panel[] }
    for (const { title, targets } of panels) {
      for (const { expr } of targets) {
        const samples = await prometheus.query(expr.replaceAll('$__rate_interval', '2m'))
        if (!samples.some(({ value: [, value] }) => value !== 'NaN')) empty.push(`${file}: ${title}: ${expr}`)
      }
    }
  }
  assert.deepEqual(empty, [])
})
