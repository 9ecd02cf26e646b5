// Connections: fewer than the process may hold open, the idle ones given up first, nothing left of one that closed, and none that holds up the end.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'

/** Descriptors for everything else: the database, LiveKit, Redis, files. */
const RESERVE = 150
/** However many a system would allow: each takes some 20 KB. */
const MOST = 20_000
/** How often it is said that connections are given up, ms. */
const SAY_EVERY = 10_000
/** How long a connection on which nothing happens is kept once no new ones are taken, ms. */
const LINGER = 300

/** How many descriptors the process may have open; Infinity where that is not known or has no limit. */
function descriptorLimit (): number {
  const report = process.report as typeof process.report & { excludeNetwork: boolean }
  report.excludeNetwork = true // it would ask for the names of its peers
  const { userLimits } = report.getReport() as { userLimits?: { open_files?: { soft: number | string } } }
  return Number(userLimits?.open_files?.soft) || Infinity
}

/**
 * Keeps the server's connections below the descriptor limit. When there are too many, the one that has been idle for longest goes:
 * a flood of silent connections displaces itself, not those who ask for something. Replies that wait behind others on a
 * connection (pipelining) are ended when it closes, which Node leaves to chance. And when the server closes, it waits for answers only:
 * Node would wait for a connection that never asked, or whose last answer came later than the close, until its client leaves.
 * @param limit most connections at once; as the system allows when not given
 */
export function limitConnections (app: FastifyInstance, limit = Math.max(20, Math.min(MOST, descriptorLimit() - RESERVE))): void {
  const { server, log } = app
  // Oldest first; those that were found busy go to the end.
  const connections = new Map<Socket, Set<ServerResponse>>()
  let saidAt = -Infinity
  server.maxConnections = limit + 10 // the last word, should none be idle

  server.on('connection', (socket: Socket) => {
    connections.set(socket, new Set())
    socket.once('close', () => {
      const pending = connections.get(socket)!
      connections.delete(socket)
      for (const reply of pending) giveUp(reply)
    })
    if (connections.size > limit) giveUpIdle()
  })
  server.on('request', (request: IncomingMessage, reply: ServerResponse) => {
    const pending = connections.get(request.socket)
    pending?.add(reply)
    reply.once('close', () => pending?.delete(reply))
  })

  /** Node tells the reply whose turn it is that its connection closed, but not those behind it. */
  function giveUp (reply: ServerResponse) {
    if (reply.socket) return
    reply.destroy()
    reply.emit('close')
  }

  function giveUpIdle () {
    if (performance.now() - saidAt > SAY_EVERY) {
      saidAt = performance.now()
      log.warn({ connections: connections.size, limit }, 'too many connections: idle ones are closed')
    }
    for (let looked = 0; looked < 32; looked++) {
      const [socket, pending] = connections.entries().next().value!
      if (pending.size === 0) {
        socket.destroy()
        return
      }
      connections.delete(socket)
      connections.set(socket, pending)
    }
  }

  /** Those without a request, of which nothing was heard since the last time. */
  function letGo (heard: Map<Socket, number>) {
    if (server.listening) return
    for (const [socket, pending] of connections) {
      if (pending.size === 0 && heard.get(socket) === socket.bytesRead) socket.destroySoon()
      heard.set(socket, socket.bytesRead)
    }
  }

  server.once('listening', () => log.info({ limit }, 'connections are limited'))
  app.addHook('preClose', (done) => {
    const timer = setInterval(letGo, LINGER, new Map())
    server.once('close', () => clearInterval(timer))
    done()
  })
}
