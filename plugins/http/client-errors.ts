// What never becomes a request: the answers that Node's HTTP parser and timers ask for, as problem documents on the bare socket.
import { randomUUID } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Details } from '../../src/sessions/errors.ts'
import { plainFailure, toProblem } from './problem.ts'

/** How long a refused client has to read its answer before the socket goes (ms). Closing at once would reset the connection under it. */
const linger = 500
const refused = new WeakSet<Socket>()

/** Whether nothing more can be answered on this socket: it was refused here, or it is gone. */
export function isRefused (socket: Socket): boolean {
  return socket.destroyed || refused.has(socket)
}

const statuses: Record<string, number> = {
  ERR_HTTP_REQUEST_TIMEOUT: 408,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  HPE_HEADER_OVERFLOW: 431
}

/**
 * Fastify's `clientErrorHandler` option. The error's code goes to the log, never its bytes (`rawPacket`).
 * A client that is gone, or has the head of its answer already, gets nothing and leaves no line.
 */
export function clientErrorHandler (this: FastifyInstance, error: NodeJS.ErrnoException, socket: Socket & { _httpMessage?: { headersSent: boolean } | null }): void {
  // Node's own handler looks at _httpMessage, too: there is no public way to know.
  if (error.code === 'ECONNRESET' || !socket.writable || socket._httpMessage?.headersSent) {
    if (!isRefused(socket)) socket.destroy()
    return
  }
  refuse(this, socket, statuses[error.code ?? ''] ?? 400, error.code)
}

/**
 * Answers on a socket that no reply belongs to, and closes it.
 * @param status of the answer, 4xx
 * @param cause for the log: a code, nothing that the client sent
 */
export function refuse (app: FastifyInstance, socket: Socket, status: number, cause?: string, headers: Record<string, string> = {}): void {
  refused.add(socket)
  socket.on('error', () => {})
  app.requestDuration.observe({ operation: 'none', method: 'other', status: `${Math.floor(status / 100)}xx` }, 0)
  // Whoever sends too much of it is not worth an answer, nor a line.
  app.countRefusal({ ip: socket.remoteAddress ?? '' }).then(() => answer(app, socket, status, cause, headers), ({ delay }: Details) => setTimeout(() => socket.destroy(), delay))
}

function answer (app: FastifyInstance, socket: Socket, status: number, cause: string | undefined, headers: Record<string, string>): void {
  const reqId = randomUUID()
  const failure = plainFailure(status)
  app.log.info({ reqId, status, code: failure.code, cause }, 'request refused')

  const body = JSON.stringify(toProblem(failure, reqId))
  const head = {
    ...headers,
    'Content-Type': 'application/problem+json',
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Request-Id': reqId,
    Connection: 'close'
  }
  const lines = Object.entries(head).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`)
  setTimeout(() => socket.destroy(), linger).unref()
}
