// What a log line may hold: errors by a fixed set of fields, requests by nothing that a client wrote, secrets never.
import type { FastifyServerOptions } from 'fastify'

type LoggerOptions = Exclude<FastifyServerOptions['logger'], boolean | undefined>

interface LoggedError { type: string, message: string, stack: string, [field: string]: unknown }

const secrets = ['authorization', 'token', 'access_token', 'participant_token', 'jwt', 'secret', 'password', 'idempotency_key', 'idempotencyKey', '["idempotency-key"]']
const jwt = /eyJ[\w-]{5,}\.[\w-]+(\.[\w-]*)?/g

/**
 * An error as the log shows it, its causes inside. Own properties of foreign errors stay out (Postgres puts row values there),
 * and so does anything that looks like a JWT (LiveKit repeats the token it refuses).
 */
export function serializeError (thrown: unknown, depth = 0): LoggedError {
  try {
    if (!(thrown instanceof Error)) return { type: typeof thrown, message: scrub(thrown), stack: '' }
    const { name, code, message, stack, cause, errors } = thrown as Error & { code?: unknown, errors?: unknown }
    return {
      type: thrown.constructor?.name || name,
      ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
      message: scrub(message),
      stack: scrub(stack),
      ...(cause !== undefined && depth < 5 ? { cause: serializeError(cause, depth + 1) } : {}),
      ...(Array.isArray(errors) && depth < 5 ? { errors: errors.slice(0, 5).map((one) => serializeError(one, depth + 1)) } : {})
    }
  } catch {
    return { type: typeof thrown, message: 'could not be read', stack: '' }
  }
}

function scrub (text: unknown): string {
  return String(text).replace(jwt, '[token]').slice(0, 10_000)
}

/**
 * Pino's options for this service.
 * @param stream where the lines go; stdout when not given
 * @param fields what every line has besides, asked for as it is written
 */
export function loggerOptions (stream?: LoggerOptions['stream'], fields?: () => object): LoggerOptions {
  return {
    level: 'info', // until the configuration is read
    ...(stream ? { stream } : {}),
    ...(fields && { mixin: fields }),
    redact: { paths: secrets.flatMap((name) => [name, name.startsWith('[') ? `*${name}` : `*.${name}`]), censor: '[secret]' },
    serializers: {
      err: (thrown: unknown) => serializeError(thrown),
      req: ({ method }) => ({ method }),
      res: ({ statusCode }) => ({ statusCode })
    }
  }
}
