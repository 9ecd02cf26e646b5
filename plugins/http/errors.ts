// Failures: every error, unknown path and wrong method becomes one problem document (RFC 9457) and one log line.
import createError, { FastifyError } from '@fastify/error'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { SessionError } from '../../src/sessions/errors.ts'
import { isRefused } from './client-errors.ts'
import { createMethodTable } from './method-table.ts'
import { details, plainFailure, Problem, toProblem, type Failure } from './problem.ts'
import { explain } from './validation.ts'

const NotFound = createError('NOT_FOUND', details[404]!, 404)
const MethodNotAllowed = createError('METHOD_NOT_ALLOWED', details[405]!, 405)

/**
 * What a client may be told of anything that was thrown. Only errors of ours (the rules', or made with createError and no FST_ code) speak in
 * their own words, and only below 500 or where they say that they may: Fastify's and the validator's texts repeat what the client sent, those of others may hold anything.
 */
export function toFailure (thrown: unknown): Failure {
  try {
    const { statusCode, code, message, members, headers, context, delay, told, validation, validationContext } = Object(thrown) as Record<string, unknown>
    const status = Number.isInteger(statusCode) && (statusCode as number) >= 400 && (statusCode as number) <= 599 ? statusCode as number : 500
    const failure = plainFailure(status)
    if (status === 400 && code === 'FST_ERR_VALIDATION' && Array.isArray(validation)) {
      const errors = explain(validation).map((one) => ({ in: validationContext, ...one }))
      return { ...failure, code: 'VALIDATION_FAILED', detail: 'The request does not have the form that is asked for.', members: { errors }, context: { errors } }
    }
    const isOurs = thrown instanceof SessionError || (thrown instanceof FastifyError && !thrown.code.startsWith('FST_'))
    if (!isOurs) return failure
    const own = status < 500 || told === true ? { code: code as string, detail: message as string } : {}
    return { ...failure, ...own, ...{ members, headers, context, delay } as Partial<Failure> }
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
  // Nobody is there to be answered: Node's parser refused what came next and the line was written there, or the client left.
  else if (!isRefused(request.raw.socket)) request.log.info({ ...fields, code }, 'request refused')

  reply.code(status)
    .headers({ 'cache-control': 'no-store', ...failure.headers })
    .header('content-type', 'application/problem+json')
    .serializer(JSON.stringify)
  const send = () => { reply.send(toProblem(failure, request.id)) }
  if (failure.delay) setTimeout(send, failure.delay)
  else send()
}

export default fp(async (app) => {
  const methods = createMethodTable()
  app.addHook('onRoute', methods.add)
  app.addSchema(Problem)
  app.setErrorHandler(answer)
  app.setNotFoundHandler(async (request) => {
    await app.countRefusal(request)
    const allow = methods.allowed(request.url)
    if (allow.length === 0 || allow.includes(request.method)) throw new NotFound()
    // RFC 9110 section 15.5.6: a 405 says what would be allowed.
    throw Object.assign(new MethodNotAllowed(), { headers: { allow: allow.join(', ') } })
  })
}, { name: 'errors', decorators: { fastify: ['countRefusal'] } })
