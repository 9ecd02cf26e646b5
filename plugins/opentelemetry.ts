// Traces by OpenTelemetry: what is watched, what of it leaves the process. Imported only where traces are exported, and before what it watches.
import { createRequire } from 'node:module'
import { setTimeout as sleep } from 'node:timers/promises'
import { FastifyOtelInstrumentation } from '@fastify/otel'
import { context, diag, DiagLogLevel, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, TraceFlags, type Link, type SpanContext } from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { PgInstrumentation } from '@opentelemetry/instrumentation-pg'
import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici'
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor, NodeTracerProvider, type ReadableSpan, type SpanProcessor } from '@opentelemetry/sdk-trace-node'
import type { Traced, Tracing } from '../src/sessions/tracing.ts'

/** How long the last spans may take to be sent when the process ends, ms. */
const FAREWELL = 2000
/** Failures of the exporter are told once in this time, ms. */
const TELL_EVERY = 60_000

/**
 * All that a span may say. A list of what is allowed, not of what is not: addresses hold room names and with them user ids, which may be
 * e-mail addresses; queries hold tokens; and an instrumentation may learn to say more with any release.
 */
const allowed = new Set([
  'session.id', 'error.type', 'server.address', 'server.port', 'network.peer.address', 'network.peer.port',
  'http.request.method', 'http.response.status_code', 'http.route', 'http.status_code', 'rpc.system', 'rpc.service', 'rpc.method',
  'db.system', 'db.system.name', 'db.name', 'db.namespace', 'db.operation.name', 'db.collection.name', 'db.statement', 'db.query.text'
])

export interface RunningTracing extends Tracing {
  /** Fields for a log line that is written now. */
  logFields: () => { trace_id?: string, span_id?: string }
  /** From now on, what keeps spans from being exported is told here, once a minute at most. */
  onTrouble: (tell: () => void) => void
  /** Sends what is left, for 2 s at most. */
  stop: () => Promise<void>
}

/**
 * Starts tracing, set up by OpenTelemetry's own variables (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
 * @throws Error when OTEL_EXPORTER_OTLP_PROTOCOL asks for another protocol than http/protobuf
 */
export function startTracing (): RunningTracing {
  for (const name of ['OTEL_EXPORTER_OTLP_PROTOCOL', 'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL']) {
    const protocol = process.env[name]
    if (protocol && protocol !== 'http/protobuf') throw new Error(`The environment is not right: ${name} must be http/protobuf.`)
  }
  let tell = () => {}
  let told = -Infinity
  // The exporter's words may hold what the collector answered: that it failed is enough.
  const trouble = () => {
    if (performance.now() - told < TELL_EVERY) return
    told = performance.now()
    tell()
  }
  diag.setLogger({ error: trouble, warn () {}, info () {}, debug () {}, verbose () {} }, { logLevel: DiagLogLevel.ERROR, suppressOverrideMessage: true })

  const provider = new NodeTracerProvider({
    resource: defaultResource().merge(resourceFromAttributes({ 'service.name': 'livekit-sessions' })).merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [discreet(new BatchSpanProcessor(new OTLPTraceExporter()))]
  })
  // No baggage: it would carry what clients send to LiveKit.
  provider.register({ propagator: new W3CTraceContextPropagator() })
  const instrumentations = [
    // One span a request: those of its hooks would be twenty (and each a tenth of what a request costs).
    new FastifyOtelInstrumentation({
      registerOnInitialization: true,
      instrumentHooks: false,
      instrumentHandler: false,
      recordExceptions: false,
      ignorePaths: ({ url }) => /^\/(livez|readyz|metrics)$/.test(url),
      requestHook (span, { method, routeOptions: { url } }) { span.updateName(url ? `${method} ${url}` : method) }
    }),
    // Both only inside of a span: what a timer does every second is no trace.
    new PgInstrumentation({
      requireParentSpan: true,
      ignoreConnectSpans: true,
      // Statements are prepared under names that say nothing: https://opentelemetry.io/docs/specs/semconv/database/database-spans/#name
      requestHook (span, { query: { text } }) {
        const [operation = 'SELECT'] = /\b(?:insert|update|delete|select)\b/i.exec(text) ?? []
        const [, table = ''] = /\b(?:into|update|from)\s+(\w+)/i.exec(text) ?? []
        span.updateName(`${operation.toUpperCase()} ${table}`.trim())
        span.setAttributes({ 'db.operation.name': operation.toUpperCase(), 'db.collection.name': table })
      }
    }),
    new UndiciInstrumentation({
      requireParentforSpans: true,
      requestHook (span, { path }) {
        const [, service, method] = /^\/twirp\/([\w.]+)\/(\w+)$/.exec(path) ?? []
        if (!service || !method) return
        span.updateName(`${service}/${method}`)
        span.setAttributes({ 'rpc.system': 'twirp', 'rpc.service': service, 'rpc.method': method })
      }
    })
  ]
  // An ES module's import of it comes past the instrumentation's eyes: now it is there already, and instrumented.
  createRequire(import.meta.url)('pg')

  const tracer = trace.getTracer('livekit-sessions')
  return {
    traceparent () {
      const here = trace.getActiveSpan()?.spanContext()
      return here && `00-${here.traceId}-${here.spanId}-0${here.traceFlags & TraceFlags.SAMPLED}`
    },
    about (session) {
      const span = trace.getActiveSpan()
      if (!span?.isRecording()) return
      span.setAttribute('session.id', session.id)
      const link = linkTo(session)
      if (link && link.context.traceId !== span.spanContext().traceId) span.addLink(link)
    },
    apart: (name, sessions, work) => {
      const links = sessions.map(linkTo).filter((link) => link !== undefined)
      const attributes = sessions.length === 1 ? { 'session.id': sessions[0]!.id } : {}
      return tracer.startActiveSpan(name, { links, attributes }, ROOT_CONTEXT, async (span) => {
        try {
          return await work()
        } catch (error) {
          span.setStatus({ code: SpanStatusCode.ERROR })
          throw error
        } finally {
          span.end()
        }
      })
    },
    logFields () {
      const here = trace.getActiveSpan()?.spanContext()
      return here ? { trace_id: here.traceId, span_id: here.spanId } : {}
    },
    onTrouble (listener) { tell = listener },
    async stop () {
      for (const instrumentation of instrumentations) instrumentation.disable()
      await Promise.race([provider.shutdown().catch(trouble), sleep(FAREWELL)])
      trace.disable()
      context.disable()
    }
  }
}

/** The span that a session's traceparent names, to be linked to. */
function linkTo ({ id, traceparent }: Traced): Link | undefined {
  const [, traceId, spanId, flags] = /^00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])$/.exec(traceparent ?? '') ?? []
  if (!traceId || !spanId) return undefined
  const context: SpanContext = { traceId, spanId, traceFlags: Number(flags), isRemote: true }
  return { context, attributes: { 'session.id': id } }
}

/** Hands spans on as they may be seen outside: what is allowed, no exception and no message, and an error of a client is none of ours. */
function discreet (next: SpanProcessor): SpanProcessor {
  return {
    onStart: (span, parent) => next.onStart(span, parent),
    onEnd: (span) => next.onEnd(outward(span)),
    forceFlush: () => next.forceFlush(),
    shutdown: () => next.shutdown()
  }
}

function outward (span: ReadableSpan): ReadableSpan {
  const status = Number(span.attributes['http.response.status_code'] ?? 0)
  const isError = span.kind === SpanKind.SERVER ? status >= 500 : span.status.code === SpanStatusCode.ERROR
  return Object.create(span, {
    attributes: { value: Object.fromEntries(Object.entries(span.attributes).filter(([name]) => allowed.has(name))) },
    events: { value: [] },
    status: { value: { code: isError ? SpanStatusCode.ERROR : SpanStatusCode.UNSET } }
  })
}
