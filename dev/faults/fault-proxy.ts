// A TCP proxy that fails on demand, between the service and what it depends on (LiveKit, PostgreSQL).
import { createServer, connect, type AddressInfo, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { createSplitter } from './split-requests.ts'

/**
 * What goes wrong, on connections that exist and on new ones alike:
 * - `refuse`: nobody is there. Connections are reset, new ones refused.
 * - `reset`: connections are reset, new ones as soon as they are accepted.
 * - `hang`: accepts, but forwards nothing until the fault changes; then it goes on with what was held.
 * - `halfOpen`: a cut cable. Nothing comes through any more, not even that the other side is gone; such a connection does not recover.
 * - `mute`: requests arrive and are carried out, their answers are lost; such a connection does not recover.
 * - `delay`: milliseconds that each request takes longer.
 * - `respond`: an HTTP answer to every request, which goes no further: a status line, and headers, an empty line and a body if wanted.
 * - `dropAfter`: resets a connection after so many bytes of answers.
 */
export type Fault = 'refuse' | 'reset' | 'hang' | 'halfOpen' | 'mute' | { delay: number } | { respond: string } | { dropAfter: number }

export interface FaultProxyOptions {
  target: { host: string, port: number }
  /** Port on 127.0.0.1; any free one when not given. */
  port?: number
}

export type FaultProxy = Awaited<ReturnType<typeof startFaultProxy>>

interface Connection {
  client: Socket
  upstream: Socket
  cut: boolean
  mute: boolean
  /** Bytes of answers still let through. */
  budget: number
}

interface Active { fault: Fault, when: RegExp | undefined, over: Promise<void>, end: () => void }

/** Starts a proxy on 127.0.0.1 that forwards everything until it is told otherwise. */
export async function startFaultProxy ({ target, port: wanted = 0 }: FaultProxyOptions) {
  const connections = new Set<Connection>()
  let active: Active | undefined
  let hits = 0

  const server = createServer({ allowHalfOpen: true, noDelay: true }, accept)
  await listen(wanted)
  const { port } = server.address() as AddressInfo

  function listen (at: number): Promise<void> {
    return new Promise((resolve, reject) => server.once('error', reject).listen(at, '127.0.0.1', () => {
      server.off('error', reject)
      resolve()
    }))
  }

  function accept (client: Socket): void {
    const upstream = connect({ ...target, allowHalfOpen: true, noDelay: true })
    const connection: Connection = { client, upstream, cut: false, mute: false, budget: Infinity }
    connections.add(connection)
    if (active && !active.when) strike(connection, active.fault)

    const split = createSplitter()
    let requests = Promise.resolve()
    client.on('data', (chunk) => {
      const arrived = performance.now()
      for (const request of split(chunk)) requests = requests.then(() => forward(connection, request, arrived))
    })
    client.once('end', () => { requests = requests.then(() => { if (!connection.cut) upstream.end() }) })

    let answers = Promise.resolve()
    upstream.on('data', (chunk) => { answers = answers.then(() => answer(connection, chunk)) })
    upstream.once('end', () => { answers = answers.then(() => { if (!connection.cut) client.end() }) })

    for (const [one, other] of [[client, upstream], [upstream, client]] as const) {
      one.on('error', () => {})
      one.once('close', (failed) => {
        if (!connection.cut) {
          if (failed) other.resetAndDestroy()
          else if (one === client) other.destroy()
        }
        if (client.destroyed && upstream.destroyed) connections.delete(connection)
      })
    }
  }

  /** A request (or, of other protocols, some bytes) on its way to the server. */
  async function forward (connection: Connection, request: Buffer, arrived: number): Promise<void> {
    const now = active
    if (now && (!now.when || now.when.test(request.toString('latin1')))) {
      hits++
      const { fault } = now
      if (fault === 'hang') {
        await now.over
        return forward(connection, request, arrived)
      }
      if (typeof fault === 'object' && 'respond' in fault) {
        connection.client.write(wholeAnswer(fault.respond))
        return
      }
      if (typeof fault === 'object' && 'delay' in fault) await sleep(Math.max(0, arrived + fault.delay - performance.now()))
      else if (now.when) strike(connection, fault)
    }
    if (!connection.cut) connection.upstream.write(request)
  }

  async function answer (connection: Connection, chunk: Buffer): Promise<void> {
    while (active?.fault === 'hang' && !active.when) await active.over
    if (connection.cut || connection.mute) return
    connection.client.write(chunk.subarray(0, connection.budget))
    connection.budget -= chunk.length
    if (connection.budget > 0) return
    await sleep(20) // so that what was let through is read before the reset overtakes it
    reset(connection)
  }

  /** Does to one connection what a fault does at once. */
  function strike (connection: Connection, fault: Fault): void {
    if (fault === 'refuse' || fault === 'reset') reset(connection)
    else if (fault === 'halfOpen') connection.cut = true
    else if (fault === 'mute') connection.mute = true
    else if (typeof fault === 'object' && 'dropAfter' in fault) connection.budget = fault.dropAfter
  }

  /**
   * Sets the fault, or none; connections that a fault has spoilt are reset first.
   * With `when`, only requests whose first bytes match suffer: whole HTTP requests (line, headers and body), else whatever arrives in one piece.
   */
  async function fault (next?: Fault, when?: RegExp): Promise<void> {
    active?.end()
    active = undefined
    hits = 0
    for (const connection of connections) {
      if (connection.cut || connection.mute) reset(connection)
      connection.budget = Infinity
    }
    if (next !== undefined) {
      let end!: () => void
      const over = new Promise<void>((resolve) => { end = resolve })
      active = { fault: next, when, over, end }
      if (!when) for (const connection of connections) strike(connection, next)
    }
    const refuse = next === 'refuse' && !when
    if (refuse && server.listening) server.close()
    if (!refuse && !server.listening) await listen(port)
  }

  return {
    port,
    /** For HTTP and LiveKit; other protocols take 127.0.0.1 and the port. */
    url: `http://127.0.0.1:${port}`,
    fault,
    /** How many requests met the fault since it was set. */
    hits: () => hits,
    /** How many client connections are open. */
    connections: () => [...connections].filter(({ client }) => !client.destroyed).length,
    /** Resets what is open and closes. */
    stop: async () => {
      active?.end()
      active = undefined
      for (const connection of connections) reset(connection)
      if (server.listening) await new Promise((resolve) => server.close(resolve))
    }
  }
}

// Node 20 can wait for ever for the handle of a reset socket when it cleans up a process that ended by itself; process.exit does not clean up.
const leave = () => { process.exit() }

function reset ({ client, upstream }: Connection): void {
  process.off('beforeExit', leave).once('beforeExit', leave)
  client.resetAndDestroy()
  upstream.resetAndDestroy()
}

function wholeAnswer (text: string): string {
  const [head = '', ...body] = text.replaceAll('\r\n', '\n').split('\n\n')
  const content = body.join('\n\n')
  return `${head.trim().replaceAll('\n', '\r\n')}\r\ncontent-length: ${Buffer.byteLength(content)}\r\n\r\n${content}`
}
