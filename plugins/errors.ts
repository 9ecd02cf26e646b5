// Failures: every error, unknown path and wrong method becomes one problem document (RFC 9457) and one log line.
import { STATUS_CODES } from 'node:http'
import createError, { FastifyError } from '@fastify/error'
import { Type, type Static } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { createMethodTable } from './method-table.ts'
import { explain } from './validation.ts'

/** Every answer of 400 and above. Routes refer to it by its id: `{ $ref: 'Problem#' }`. */
export const Problem = Type.Object({
  type: Type.String({ description: 'Which problem it is, for programs', examples: ['urn:livekit-sessions:problem:not-found'] }),
  title: Type.String({ description: 'The phrase of the HTTP status', examples: ['Not Found'] }),
  status: Type.Integer({ minimum: 400, maximum: 599 }),
  detail: Type.String({ description: 'What went wrong, for people' }),
  instance: Type.String({ description: 'The request, as the log names it', examples: ['urn:livekit-sessions:request:0b9cf7a1'] }),
  retry_after: Type.Optional(Type.Integer({ minimum: 0, description: 'Seconds to wait before the next try' })),
  limit: Type.Optional(Type.Integer({ minimum: 0, description: 'The limit that was reached' })),
  errors: Type.Optional(Type.Array(Type.Object({
    in: Type.Union([Type.Literal('body'), Type.Literal('querystring'), Type.Literal('params'), Type.Literal('headers')]),
    path: Type.String({ description: 'JSON pointer (RFC 6901) to what is wrong', examples: ['/agent_type'] }),
    message: Type.String()
  }), { description: 'What is wrong with the request, field by field' }))
}, { $id: 'Problem', description: 'RFC 9457 problem document', additionalProperties: true })

/** What an error of ours may carry beside its code, message and status. */
export interface Failure {
  status: number
  /** SCREAMING_CODE; 5xx have only the one of their status. */
  code: string
  detail: string
  members?: Record<string, unknown>
  headers?: Record<string, string>
  context?: Record<string, unknown>
}

const details: Record<number, string> = {
  400: 'The request is not valid.',
  404: 'There is nothing at this address.',
  405: 'This address does not support this method.',
  408: 'The request did not arrive in time.',
  413: 'The request is too large.',
  414: 'The address is too long.',
  415: 'The body is of a type that is not accepted here.',
  429: 'Too many requests. Wait before the next one.',
  431: 'The headers are too large.',
  500: 'Something went wrong on our side. Try again.',
  503: 'The service is not available right now. Try again later.'
}

const NotFound = createError('NOT_FOUND', details[404]!, 404)
const MethodNotAllowed = createError('METHOD_NOT_ALLOWED', details[405]!, 405)

/** What is said of a status for which there is no text of ours: nothing that a client sent, nothing internal. */
export function plainFailure (status: number): Failure {
  const code = (STATUS_CODES[status] ?? 'error').toUpperCase().replace(/[^A-Z]+/g, '_')
  return { status, code, detail: details[status] ?? (status < 500 ? 'The request was refused.' : details[500]!) }
}

/** The problem document of a failure; `requestId` is what ties it to the log. */
export function toProblem ({ status, code, detail, members }: Failure, requestId: string): Static<typeof Problem> {
  return {
    type: `urn:livekit-sessions:problem:${code.toLowerCase().replaceAll('_', '-')}`,
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail,
    instance: `urn:livekit-sessions:request:${requestId}`,
    ...members
  }
}

/**
 * What a client may be told of anything that was thrown. Only errors of ours (made with createError, no FST_ code) speak in
 * their own words, and only below 500: Fastify's and the validator's texts repeat what the client sent, those of others may hold anything.
 */
export function toFailure (thrown: unknown): Failure {
  try {
    const { statusCode, code, message, members, headers, context, validation, validationContext } = Object(thrown) as Record<string, unknown>
    const status = Number.isInteger(statusCode) && (statusCode as number) >= 400 && (statusCode as number) <= 599 ? statusCode as number : 500
    const failure = plainFailure(status)
    if (status === 400 && code === 'FST_ERR_VALIDATION' && Array.isArray(validation)) {
      const errors = explain(validation).map((one) => ({ in: validationContext, ...one }))
      return { ...failure, code: 'VALIDATION_FAILED', detail: 'The request does not have the form that is asked for.', members: { errors }, context: { errors } }
    }
    if (!(thrown instanceof FastifyError) || thrown.code.startsWith('FST_')) return failure
    const own = status < 500 ? { code: code as string, detail: message as string } : {}
    return { ...failure, ...own, ...{ members, headers, context } as Partial<Failure> }
  } catch {
    return plainFailure(500)
  }
}

/** Logs a failure once and answers it; the error handler of the app and of what Fastify refuses before routing. */
export function answer (thrown: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const failure = toFailure(thrown)
  const { status, code } = failure
  const { schema } = request.routeOptions as { schema?: { operationId?: string } }
  const roomName = (request.params as { room_name?: string } | null | undefined)?.room_name
  const fields = { roomName, ...failure.context, operation: schema?.operationId, userId: request.user?.id, status }
  if (status >= 500) request.log.error({ ...fields, err: thrown }, 'request failed')
  // Nobody is there to be answered: Node's parser refused the rest of the body and client-errors.ts told of it, or the client left.
  else if (!request.raw.socket?.destroyed) request.log.info({ ...fields, code }, 'request refused')

  reply.code(status)
    .headers({ 'cache-control': 'no-store', ...failure.headers })
    .header('content-type', 'application/problem+json')
    .serializer(JSON.stringify)
    .send(toProblem(failure, request.id))
}

export default fp(async (app) => {
  const methods = createMethodTable()
  app.addHook('onRoute', methods.add)
  app.addSchema(Problem)
  app.setErrorHandler(answer)
  app.setNotFoundHandler((request) => {
    const allow = methods.allowed(request.url)
    if (allow.length === 0) throw new NotFound()
    // RFC 9110 section 15.5.6: a 405 says what would be allowed.
    throw Object.assign(new MethodNotAllowed(), { headers: { allow: allow.join(', ') } })
  })
}, { name: 'errors' })
