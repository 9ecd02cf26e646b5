// One MCP server as the agent sees it: connected when it can be, its allowed tools known, its calls bounded.
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { ErrorCode, McpError, ToolListChangedNotificationSchema, type Tool } from '@modelcontextprotocol/sdk/types.js'
import type { jsonSchemaValidator as SchemaValidator } from '@modelcontextprotocol/sdk/validation'
import { once } from 'node:events'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import { reasonOf, type Logger } from '../log.ts'
import type { ToolOutcome } from '../reports.ts'
import type { McpServer } from './config.ts'
import { TooLargeError, clean, guardedFetch, textOf } from './guards.ts'
import type { UserTokens } from './user-token.ts'
import { TooSlowError, createCheck, type Check } from './schema.ts'

const MAX_TOOLS = 128
const MAX_PAGES = 10
const MAX_DESCRIPTION = 1000
/** Characters of a tool's JSON schema. */
const MAX_SCHEMA = 16_384
/** Milliseconds before the tools of an unreachable server are asked for again: first, and at most. */
const REDISCOVER = [2000, 60_000] as const
/** Milliseconds before the first repetition of a call; doubled each time. */
const BACK_OFF = 200

/** The SDK would check structured results by schemas that the server writes. Nobody reads them here, so anything will do. */
const unchecked: SchemaValidator = { getValidator: () => (data) => ({ valid: true, data: data as never, errorMessage: undefined }) }

export interface McpTool { name: string, description: string, inputSchema: Record<string, unknown> }

/** A failed call, in words for the language model; nothing of the server's inside but its own error text. */
export class ToolCallError extends Error {
  readonly outcome: ToolOutcome
  constructor (outcome: ToolOutcome, message: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'ToolCallError'
    this.outcome = outcome
  }
}

export interface McpClientOptions {
  server: McpServer
  allowed: Set<string>
  log: Logger
  /** For a server that acts for the user. */
  userTokens?: UserTokens
  /** Told the tools whenever they are discovered anew. */
  onTools (tools: McpTool[]): void
  onOutcome? (outcome: ToolOutcome): void
}

/**
 * Creates the client of one server. `start` never throws: a server that is down costs its tools, not the call,
 * and is asked again in the background until it is up.
 */
export function createMcpClient ({ server, allowed, log, userTokens, onTools, onOutcome = () => {} }: McpClientOptions) {
  const checks = new Map<string, Check>()
  /** Tools whose schema takes too long: not tried again, the call would stand still each time. */
  const tooSlow = new Set<string>()
  const about = { mcp_server: server.name }
  const closing = new AbortController()
  let connection: Promise<Connection> | undefined
  let rediscovering = false
  let reported = false

  interface Connection { client: Client, broken: AbortController }

  async function connect (onBroken: () => void): Promise<Connection> {
    const broken = new AbortController()
    const transport = new StreamableHTTPClientTransport(new URL(server.url), {
      requestInit: { headers: server.headers },
      fetch: forUser(guardedFetch(server.max_response_bytes, (error) => {
        broken.abort(error)
        onBroken()
      })),
      // The client reconnects by itself only to resume a stream; a call is repeated by `call` below, if at all.
      reconnectionOptions: { maxRetries: 0, initialReconnectionDelay: 1000, maxReconnectionDelay: 1000, reconnectionDelayGrowFactor: 1 }
    })
    const client = new Client({ name: 'livekit-sessions-agents', version: '1.0.0' }, { jsonSchemaValidator: unchecked })
    client.onerror = (error) => log.debug({ ...about, error }, 'MCP connection error')
    client.setNotificationHandler(ToolListChangedNotificationSchema, () => { discover().catch(() => rediscover()) })
    await client.connect(transport, { timeout: server.connect_timeout, signal: closing.signal })
    return { client, broken }
  }

  /** Each request with a token that is good now: one that is asked for when the call begins would be too old at its end. */
  function forUser (inner: typeof fetch): typeof fetch {
    const { audience } = server
    if (!audience) return inner
    return async (input, init) => {
      if (!userTokens) throw Object.assign(new Error('no tokens for users'), { code: 'no token of the service in the dispatch' })
      const headers = new Headers(init?.headers)
      headers.set('authorization', `Bearer ${await userTokens(audience)}`)
      return inner(input, { ...init, headers })
    }
  }

  /** The open connection, or a new one. A failed attempt is forgotten, so that the next call tries again. */
  function connected (): Promise<Connection> {
    if (connection) return connection
    const opening: Promise<Connection> = connect(() => {
      // Also the stream on which the server tells changes may break while nothing is being called.
      if (connection !== opening) return
      drop()
      rediscover().catch(() => {})
    }).catch((error) => {
      if (connection === opening) connection = undefined
      throw error
    })
    connection = opening
    return opening
  }

  function drop (): void {
    const old = connection
    connection = undefined
    old?.then(({ client }) => client.close()).catch(() => {})
  }

  /** Asks for the tools and offers those that are allowed and well-formed. */
  async function discover (): Promise<void> {
    const { client, broken } = await connected()
    const listed: Tool[] = []
    let cursor: string | undefined
    for (let page = 0; page < MAX_PAGES; page++) {
      const result = await client.listTools({ cursor }, { timeout: server.connect_timeout, maxTotalTimeout: server.connect_timeout, signal: AbortSignal.any([closing.signal, broken.signal]) })
      listed.push(...result.tools)
      cursor = result.nextCursor
      if (!cursor || listed.length > MAX_TOOLS) break
    }

    const found = new Map<string, Check>()
    const tools: McpTool[] = []
    const left: Record<string, string> = {}
    for (const { name, description, inputSchema } of listed.slice(0, MAX_TOOLS)) {
      const label = clean(name, 64)
      if (!allowed.has(name)) left[label] = 'not allowed'
      else if (found.has(name)) left[label] = 'listed twice'
      else if (tooSlow.has(name)) left[label] = 'schema takes too long'
      else if (JSON.stringify(inputSchema).length > MAX_SCHEMA) left[label] = 'schema too large'
      else {
        // Making a check takes its time, and the sound of the call goes through this thread.
        await turn()
        try {
          found.set(name, createCheck(inputSchema))
          tools.push({ name, description: clean(description ?? name, MAX_DESCRIPTION), inputSchema })
        } catch (error) {
          if (error instanceof TooSlowError) tooSlow.add(name)
          left[label] = tooSlow.has(name) ? 'schema takes too long' : 'schema not valid'
        }
      }
    }
    checks.clear()
    for (const [name, check] of found) checks.set(name, check)
    for (const name of allowed) if (!listed.some((tool) => tool.name === name)) left[name] = 'not offered by the server'
    reported = false
    log.info({ ...about, tools: tools.map(({ name }) => name), left_out: left }, 'MCP tools discovered')
    onTools(tools)
  }

  /** Tries to discover until it works, with growing pauses; one at a time. */
  async function rediscover (): Promise<void> {
    if (rediscovering || closing.signal.aborted) return
    rediscovering = true
    let pause: number = REDISCOVER[0]
    while (!closing.signal.aborted) {
      await sleep(pause, undefined, { signal: closing.signal, ref: false }).catch(() => {})
      if (closing.signal.aborted) break
      try {
        drop()
        await discover()
        break
      } catch {
        pause = Math.min(pause * 2, REDISCOVER[1])
      }
    }
    rediscovering = false
  }

  function unavailable (error: unknown, what: string, fields: Record<string, unknown> = {}): void {
    // One line per outage when discovering; one per failed call.
    if (what === 'MCP server not available' && reported) return
    if (what === 'MCP server not available') reported = true
    log.warn({ ...about, ...fields, reason: isTimeout(error) ? 'timeout' : reasonOf(error) }, what)
  }

  /** @throws ToolCallError when the arguments do not fit, or cannot be checked */
  async function refuseUnfit (name: string, args: Record<string, unknown>, check: Check): Promise<void> {
    let problem: Awaited<ReturnType<Check>>
    try {
      problem = await check(args)
    } catch {
      checks.delete(name)
      tooSlow.add(name)
      onOutcome('refused')
      log.warn({ ...about, tool: name }, 'MCP tool refused: its schema takes too long to check')
      throw new ToolCallError('refused', 'The arguments could not be checked.')
    }
    if (!problem) return
    onOutcome('refused')
    log.warn({ ...about, tool: name, at: problem.instancePath, rule: problem.keyword }, 'MCP tool refused: arguments do not fit its schema')
    throw new ToolCallError('refused', `The arguments do not fit: ${problem.instancePath || 'the object'} ${problem.message}.`)
  }

  /** @param limit milliseconds, connecting included: what takes longer to connect is there for the next call */
  async function attempt (name: string, args: Record<string, unknown>, limit: number, signal?: AbortSignal): Promise<string> {
    const over = AbortSignal.any([closing.signal, AbortSignal.timeout(limit), ...(signal ? [signal] : [])])
    const { client, broken } = await Promise.race([connected(), timeoutAt(over)])
    const result = await client.callTool({ name, arguments: args }, undefined, { timeout: limit, maxTotalTimeout: limit, signal: AbortSignal.any([over, broken.signal]) })
      .catch((error) => { throw broken.signal.aborted ? broken.signal.reason : error })
    const text = textOf(result.content, server.max_result_chars)
    if (result.isError) throw new ToolCallError('error', text || 'The tool failed.')
    return text
  }

  return {
    /** Connects and discovers; at the latest after two connect timeouts it goes on without. */
    async start (): Promise<void> {
      try {
        await discover()
      } catch (error) {
        drop()
        unavailable(error, 'MCP server not available')
        rediscover().catch(() => {})
      }
    },
    /**
     * Calls a tool.
     * @param signal aborts the call, e.g. because the user interrupted.
     * @returns its result as text, cleaned and cut.
     * @throws ToolCallError in words that may be told to the language model.
     */
    async call (name: string, args: Record<string, unknown>, signal?: AbortSignal): Promise<string> {
      const started = performance.now()
      const check = checks.get(name)
      if (!allowed.has(name) || !check) {
        onOutcome('refused')
        log.warn({ ...about, tool: clean(name, 64) }, 'MCP tool refused: not among the allowed ones')
        throw new ToolCallError('refused', 'This tool is not available.')
      }
      await refuseUnfit(name, args, check)

      const attempts = 1 + (server.idempotent.includes(name) ? server.retries : 0)
      for (let count = 1; ; count++) {
        const left = server.call_timeout - (performance.now() - started)
        try {
          const text = await attempt(name, args, Math.max(1, Math.ceil(left)), signal)
          onOutcome('ok')
          log.info({ ...about, tool: name, attempts: count, duration_ms: Math.round(performance.now() - started), characters: text.length }, 'MCP tool called')
          return text
        } catch (error) {
          if (error instanceof ToolCallError) {
            onOutcome('error')
            log.info({ ...about, tool: name, attempts: count }, 'MCP tool answered with an error')
            throw error
          }
          if (breaksConnection(error)) drop()
          const pause = BACK_OFF * 2 ** (count - 1)
          const enough = server.call_timeout - (performance.now() - started) > pause + BACK_OFF
          if (count < attempts && enough && repeatable(error) && !signal?.aborted && !closing.signal.aborted) {
            await sleep(pause)
            continue
          }
          if (signal?.aborted) throw new ToolCallError('error', 'The call was interrupted.', error)
          onOutcome('unavailable')
          unavailable(error, 'MCP tool not available', { tool: name, attempts: count, duration_ms: Math.round(performance.now() - started) })
          throw new ToolCallError('unavailable', 'This tool is not available right now.', error)
        }
      }
    },
    async close (): Promise<void> {
      closing.abort()
      const old = await connection?.catch(() => undefined)
      await old?.client.close().catch(() => {})
    }
  }
}

export type McpClient = ReturnType<typeof createMcpClient>

/** Whether the connection is of no more use. After a timeout or an interruption it is: over it the server is told to stop. */
function breaksConnection (error: unknown): boolean {
  return !(error instanceof McpError && [ErrorCode.RequestTimeout, ErrorCode.InvalidParams, ErrorCode.InternalError, ErrorCode.MethodNotFound].includes(error.code))
}

/** A response that is too large or slow would be so again. */
function repeatable (error: unknown): boolean {
  return !(error instanceof TooLargeError) && !isTimeout(error)
}

/** Fails as a request of the SDK does when `signal` ends it. */
async function timeoutAt (signal: AbortSignal): Promise<never> {
  if (!signal.aborted) await once(signal, 'abort')
  throw new McpError(ErrorCode.RequestTimeout, 'not connected in time')
}

function isTimeout (error: unknown): boolean {
  return error instanceof McpError && error.code === ErrorCode.RequestTimeout
}
