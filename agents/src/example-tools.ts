// A tool server to begin with: MCP over Streamable HTTP, two tools, no state. `node dist/example-tools.js`, port 8090 or PORT.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { z } from 'zod'

const MAX_BODY = 64 * 1024 // bytes

/** The tools; what they return is read aloud. */
function createTools (): McpServer {
  const server = new McpServer({ name: 'example', version: '1.0.0' })
  const say = (text: string) => ({ content: [{ type: 'text' as const, text }] })

  server.registerTool('date_and_time', {
    description: 'The date and the time now, in a time zone.',
    inputSchema: { time_zone: z.string().max(64).default('UTC').describe('IANA name, for instance Europe/Paris') }
  }, async ({ time_zone: timeZone }) => {
    try {
      return say(new Intl.DateTimeFormat('en-GB', { dateStyle: 'full', timeStyle: 'short', timeZone }).format(new Date()))
    } catch {
      return { ...say('There is no such time zone.'), isError: true }
    }
  })

  server.registerTool('body_mass_index', {
    description: 'The body mass index of an adult.',
    inputSchema: { height_cm: z.number().min(100).max(250), weight_kg: z.number().min(20).max(400) }
  }, async ({ height_cm: height, weight_kg: weight }) => say(`The body mass index is ${(weight / (height / 100) ** 2).toFixed(1)}.`))

  return server
}

/** Each request stands for itself: nothing is kept between two, so any number of copies may serve. */
async function handle (request: IncomingMessage, response: ServerResponse): Promise<void> {
  const answer = (status: number) => { response.writeHead(status, { connection: 'close' }).end() }
  if (request.url === '/health') return answer(200)
  if (request.url !== '/mcp') return answer(404)
  if (request.method !== 'POST') return answer(405)
  let raw = ''
  for await (const chunk of request.setEncoding('utf8')) {
    raw += chunk
    if (raw.length > MAX_BODY) return answer(413)
  }
  let body: unknown
  try {
    body = JSON.parse(raw)
  } catch {
    return answer(400)
  }
  const server = createTools()
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: true })
  response.once('close', () => { server.close().catch(() => {}) })
  await server.connect(transport as never)
  await transport.handleRequest(request, response, body)
}

/** Starts listening. Without a token: only for a network of its own. */
export async function startExampleTools ({ host, port }: { host: string, port: number }) {
  const server = createServer({ requestTimeout: 10_000 }, (request, response) => { handle(request, response).catch(() => response.destroy()) })
  server.listen(port, host)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    close () {
      server.close()
      server.closeAllConnections()
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const tools = await startExampleTools({ host: process.env.HOST ?? '0.0.0.0', port: Number(process.env.PORT ?? 8090) })
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => tools.close())
}
