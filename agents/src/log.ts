// The one logger of a process: JSON lines by pino, which also replaces the framework's own so that speech and prompts stay out of the log.
import { initializeLogger } from '@livekit/agents'
import pino, { type LogFn, type Logger } from 'pino'
import { withoutTokens } from './without-tokens.ts'

/** Where @livekit/agents keeps its process-wide logger (log_core.ts there); it has no public setter. */
const FRAMEWORK_LOGGER = Symbol.for('@livekit/agents:logger')

/** The framework marks what people said, their names and tool arguments with this prefix. */
const PERSONAL = 'lk.pii.'

const quiet = (level: string): boolean => level !== 'debug' && level !== 'trace'

/** Drops the fields that carry speech, arguments or names. `object` is one log call's fields. */
export function withoutPersonal (object: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !key.startsWith(PERSONAL)))
}

/** Names an error instead of quoting it: the framework logs texts of tools and servers, which may repeat what was said. */
function nameOf (value: unknown): unknown {
  if (!(value instanceof Error)) return
  const { code, status, statusCode } = value as Error & { code?: unknown, status?: unknown, statusCode?: unknown }
  return { type: value.constructor.name, code, status: status ?? statusCode }
}

/** What went wrong, for the log: a status, a code or the kind of error, of its cause where there is one. Not its text: a server may have put into it what was said. */
export function reasonOf (error: unknown): string {
  if (!(error instanceof Error)) return typeof error
  const { status, statusCode = status, cause, code } = error as Error & { status?: number, statusCode?: number, code?: unknown }
  if (statusCode && statusCode > 0) return `status ${statusCode}`
  if (cause) return reasonOf(cause)
  // The code of a DOMException is a number of old.
  if (error instanceof DOMException) return error.name
  return code ? String(code) : error.constructor.name
}

function asError (value: unknown): unknown {
  const error = value instanceof Error ? pino.stdSerializers.err(value) : value
  return JSON.parse(withoutTokens(JSON.stringify(error ?? null)))
}

/** What the framework says of tools that failed is said by mcp/client.ts and voice.ts already. */
const TOLD = 'exception occurred while executing tool'

/** Leaves out the framework's errors about what was under way when a room closed (that is how every call ends), and what is told elsewhere. */
function withoutRepetitions (this: Logger, args: Parameters<LogFn>, method: LogFn): void {
  const [first, message] = args as unknown[]
  const { name, error } = (first ?? {}) as { name?: unknown, error?: { name?: unknown } }
  if (name !== 'AbortError' && error?.name !== 'AbortError' && message !== TOLD) method.apply(this, args)
}

export type { Logger }

/**
 * Creates the process's logger and hands the framework one like it.
 * Above `debug` the framework may only warn, and its personal fields and the texts of its errors are dropped: at `info` it prints every transcript.
 * @param level pino's level names.
 * @param fields on every line (agent, session_id, request_id ...).
 * @param destination for tests; stdout otherwise.
 */
export function createLogger (level: string, fields: Record<string, unknown>, destination?: { write (line: string): void }): Logger {
  const options = {
    level,
    base: { service: 'livekit-sessions-agents', pid: process.pid, ...fields },
    serializers: { error: asError, err: asError },
    formatters: {
      level: (label: string) => ({ level: label }),
      ...(quiet(level) && { log: withoutPersonal })
    },
    timestamp: pino.stdTimeFunctions.isoTime
  }
  const create = (more: object) => destination ? pino({ ...options, ...more }, destination) : pino({ ...options, ...more })
  const logger = create({})
  const frameworkLevel = quiet(level) && level !== 'silent' && pino.levels.values[level]! < pino.levels.values.warn! ? 'warn' : level
  // Sets what the main process tells its children to start with; the next line replaces this process's instance.
  initializeLogger({ pretty: false, level: frameworkLevel })
  const framework = create({
    level: frameworkLevel,
    base: { ...options.base, component: 'livekit-agents' },
    hooks: { logMethod: withoutRepetitions },
    ...(quiet(level) && { serializers: { error: nameOf, err: nameOf } })
  })
  if (quiet(level)) {
    // What a child logger is bound to passes no formatter.
    const { child } = framework
    framework.child = function (this: Logger, bindings: Record<string, unknown>) { return child.call(this, withoutPersonal(bindings)) } as typeof child
  }
  ;(globalThis as Record<symbol, unknown>)[FRAMEWORK_LOGGER] = framework
  return logger
}
