// The trace of a call by OpenTelemetry: the framework's own spans under one of ours, in the trace that the service began. Imported only where traces are exported.
import { telemetry } from '@livekit/agents'
import { ROOT_CONTEXT, context, propagation, trace, type Span } from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici'
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor, NodeTracerProvider, type ReadableSpan, type SpanProcessor } from '@opentelemetry/sdk-trace-node'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Metadata } from './metadata.ts'

/** Milliseconds the last spans may take to be sent when the call is over. */
const FAREWELL = 2000

/**
 * All that a span may say: which part, how long, which model, which tool by name. What was said, prompts, arguments and results are in
 * others of the framework's attributes, and an address may hold a name: so this is a list of what is allowed, not of what is not.
 */
const ALLOWED = new Set([
  'session.id', 'lk.job_id', 'lk.agent_name', 'lk.speech_id', 'lk.generation_id', 'lk.parent_generation_id', 'lk.interrupted', 'lk.retry_count',
  'lk.response.ttft', 'lk.response.ttfb', 'lk.tts.streaming', 'lk.eou.probability', 'lk.eou.endpointing_delay', 'lk.transcription_delay', 'lk.end_of_turn_delay', 'lk.e2e_latency',
  'lk.function_tool.name', 'lk.function_tool.is_error',
  'gen_ai.operation.name', 'gen_ai.provider.name', 'gen_ai.request.model', 'gen_ai.response.model', 'gen_ai.response.finish_reasons', 'gen_ai.response.time_to_first_chunk',
  'gen_ai.usage.input_tokens', 'gen_ai.usage.output_tokens', 'gen_ai.tool.name', 'gen_ai.tool.type', 'gen_ai.agent.name',
  'error.type', 'http.request.method', 'http.response.status_code', 'server.address', 'server.port', 'network.peer.address', 'network.peer.port'
])

export interface CallTrace {
  /** For the log lines of the call. */
  fields: { trace_id: string, span_id: string }
  /** Runs `work` within the trace; with a name, as a span of its own. */
  run<T> (work: () => Promise<T>, name?: string): Promise<T>
  /** Ends the trace and sends what is left of it, for 2 s at most. */
  stop (): Promise<void>
}

/** Begins the call's part of the trace. Set up by OpenTelemetry's own variables; once in a process, which serves one call. */
export function startTrace ({ session_id: sessionId, traceparent }: Metadata, jobId: string): CallTrace {
  const added = new telemetry.FanoutSpanProcessor()
  const provider = new NodeTracerProvider({
    resource: defaultResource().merge(resourceFromAttributes({ 'service.name': 'livekit-sessions-agents' })).merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [added, discreet(new BatchSpanProcessor(new OTLPTraceExporter()))]
  })
  provider.register({ propagator: new W3CTraceContextPropagator() })
  telemetry.setTracerProvider(provider, { allowPii: false, registerSpanProcessor: (processor) => added.add(processor) })
  // The servers of speech, model and tools, which are told of the trace by a header.
  const http = new UndiciInstrumentation({
    requireParentforSpans: true,
    requestHook: (span, { method, path }) => { span.updateName(`${method} ${path.split('?')[0]}`) }
  })

  const tracer = trace.getTracer('livekit-sessions-agents')
  const job: Span = tracer.startSpan('agent job', { attributes: { 'session.id': sessionId, 'lk.job_id': jobId } }, propagation.extract(ROOT_CONTEXT, { traceparent }))
  const within = trace.setSpan(ROOT_CONTEXT, job)
  const { traceId, spanId } = job.spanContext()
  return {
    fields: { trace_id: traceId, span_id: spanId },
    run: (work, name) => context.with(within, () => name
      ? tracer.startActiveSpan(name, async (span) => work().finally(() => span.end()))
      : work()),
    async stop () {
      http.disable()
      job.end()
      await Promise.race([provider.shutdown().catch(() => {}), sleep(FAREWELL)])
    }
  }
}

/** Hands spans on as they may be seen outside: what is allowed, no event, no message. */
function discreet (next: SpanProcessor): SpanProcessor {
  return {
    onStart: (span, parent) => next.onStart(span, parent),
    onEnd: (span) => next.onEnd(outward(span)),
    forceFlush: () => next.forceFlush(),
    shutdown: () => next.shutdown()
  }
}

function outward (span: ReadableSpan): ReadableSpan {
  return Object.create(span, {
    attributes: { value: Object.fromEntries(Object.entries(span.attributes).filter(([name]) => ALLOWED.has(name))) },
    events: { value: [] },
    status: { value: { code: span.status.code } }
  })
}
