// A receiver of traces (OTLP over HTTP, https://opentelemetry.io/docs/specs/otlp/#otlphttp) that keeps what it was sent, and shows a trace as a tree.
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { Message, proto3, type PlainMessage } from '@bufbuild/protobuf'

type Type = { new (): Message } & ReturnType<typeof proto3.makeMessageType>

const STRING = 9
const BYTES = 12
const scalar = (no: number, name: string, T: number) => ({ no, name, kind: 'scalar' as const, T })
const list = (no: number, name: string, T: unknown) => ({ no, name, kind: 'message' as const, T, repeated: true })
const type = (name: string, fields: unknown[]) => proto3.makeMessageType(`otlp.${name}`, fields as never) as Type

// As much of https://github.com/open-telemetry/opentelemetry-proto as is looked at here.
const AnyValue = type('AnyValue', [scalar(1, 'string_value', STRING), scalar(3, 'int_value', 3), scalar(4, 'double_value', 1)])
const KeyValue = type('KeyValue', [scalar(1, 'key', STRING), { no: 2, name: 'value', kind: 'message', T: AnyValue }])
const Link = type('Link', [scalar(1, 'trace_id', BYTES), scalar(2, 'span_id', BYTES)])
const Status = type('Status', [scalar(2, 'message', STRING), scalar(3, 'code', 5)])
const Event = type('Event', [scalar(2, 'name', STRING)])
const SpanType = type('Span', [
  scalar(1, 'trace_id', BYTES), scalar(2, 'span_id', BYTES), scalar(4, 'parent_span_id', BYTES), scalar(5, 'name', STRING), scalar(6, 'kind', 5),
  scalar(7, 'start', 6), scalar(8, 'end', 6), list(9, 'attributes', KeyValue), list(11, 'events', Event), list(13, 'links', Link), { no: 15, name: 'status', kind: 'message', T: Status }
])
const ScopeSpans = type('ScopeSpans', [list(2, 'spans', SpanType)])
const Resource = type('Resource', [list(1, 'attributes', KeyValue)])
const ResourceSpans = type('ResourceSpans', [{ no: 1, name: 'resource', kind: 'message', T: Resource }, list(2, 'scope_spans', ScopeSpans)])
const Request = type('Request', [list(1, 'resource_spans', ResourceSpans)])

export interface Span {
  service: string
  traceId: string
  id: string
  /** Id of the parent; empty for the first span of a trace. */
  parent: string
  name: string
  /** 1 internal, 2 server, 3 client. */
  kind: number
  /** Milliseconds since the epoch. */
  start: number
  end: number
  attributes: Record<string, string | number>
  /** Ids of the traces it is linked to. */
  links: string[]
  /** 0 unset, 1 ok, 2 error. */
  status: number
  message: string
  events: string[]
}

export type Collector = Awaited<ReturnType<typeof startCollector>>

/**
 * Starts the receiver on a free port of this machine.
 * @param alsoTo another receiver that is sent the same, to look at it there: OTLP over HTTP, for instance Jaeger's
 */
export async function startCollector (alsoTo?: string) {
  const spans: Span[] = []
  const bodies: Buffer[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = Buffer.concat(chunks)
    bodies.push(body)
    if (request.url === '/v1/traces') spans.push(...read(body))
    if (alsoTo) await fetch(`${alsoTo}${request.url}`, { method: 'POST', headers: { 'content-type': 'application/x-protobuf' }, body })
    response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    /** All that came, as it came. */
    raw: () => Buffer.concat(bodies),
    async stop () {
      server.close()
      server.closeAllConnections()
    }
  }
}

function read (body: Buffer): Span[] {
  const { resourceSpans = [] } = Request.fromBinary(body) as any
  return resourceSpans.flatMap(({ resource, scopeSpans }: any) => scopeSpans.flatMap(({ spans }: any) => spans.map((span: any): Span => ({
    service: String(plain(resource.attributes)['service.name']),
    traceId: hex(span.traceId),
    id: hex(span.spanId),
    parent: hex(span.parentSpanId),
    name: span.name,
    kind: span.kind,
    start: Number(span.start) / 1e6,
    end: Number(span.end) / 1e6,
    attributes: plain(span.attributes),
    links: span.links.map((link: any) => hex(link.traceId)),
    status: span.status?.code ?? 0,
    message: span.status?.message ?? '',
    events: span.events.map((event: any) => event.name)
  }))))
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const plain = (attributes: Array<PlainMessage<any>>) => Object.fromEntries(attributes.map(({ key, value }: any) => [key, value?.stringValue || (value?.intValue ? Number(value.intValue) : value?.doubleValue ?? '')]))

/** A trace as lines: each span under its parent, with the service, when it began within the trace, and how long it took. */
export function tree (spans: Span[], traceId: string): string[] {
  const mine = spans.filter((span) => span.traceId === traceId).sort((a, b) => a.start - b.start)
  const began = mine[0]?.start ?? 0
  const ids = new Set(mine.map(({ id }) => id))
  const under = (parent: Span | undefined, depth: number): string[] => mine
    .filter((span) => parent ? span.parent === parent.id : !ids.has(span.parent))
    .flatMap((span) => [
      `${'  '.repeat(depth)}${span.name} [${span.service}] +${(span.start - began).toFixed(0)} ms, ${(span.end - span.start).toFixed(1)} ms`,
      ...under(span, depth + 1)
    ])
  return under(undefined, 0)
}
