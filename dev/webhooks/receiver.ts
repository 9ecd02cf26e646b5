// A receiver of outgoing webhooks: believes only what the reference library of Standard Webhooks verifies, and answers as it is told.
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Webhook } from 'standardwebhooks'

export interface Received { id: string, headers: IncomingHttpHeaders, body: { type: string, timestamp: string, data: Record<string, any> } }

export interface ReceiverOptions {
  /** Signs what is to be believed; set later when it is not known yet. */
  secret?: string
  /** What is answered; `hang` answers nothing. */
  answer?: (message: Received) => number | 'hang'
}

/** Listens on a free port of the loopback, over whatever path. */
export async function startReceiver (options: ReceiverOptions = {}) {
  /** What was verified, in the order it came, repetitions too; and how many were not. */
  const received: Received[] = []
  let refused = 0
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const bytes = Buffer.concat(chunks)
    const headers = request.headers
    let answer: number | 'hang' = 400
    try {
      const body = new Webhook(options.secret ?? '').verify(bytes, headers as Record<string, string>) as Received['body']
      const message = { id: headers['webhook-id'] as string, headers, body }
      received.push(message)
      answer = options.answer?.(message) ?? 204
    } catch {
      refused++
    }
    if (answer === 'hang') return
    response.writeHead(answer, answer >= 300 && answer < 400 ? { location: '/elsewhere' } : {})
    response.end()
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/webhooks`,
    port,
    received,
    refused: () => refused,
    options,
    async stop () {
      server.closeAllConnections()
      await new Promise((resolve) => { server.close(resolve) })
    }
  }
}
