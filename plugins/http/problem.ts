// The problem document (RFC 9457): its schema, and how a failure becomes one.
import { STATUS_CODES } from 'node:http'
import { Type, type Static } from '@sinclair/typebox'
import type { Details } from '../../src/sessions/errors.ts'

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
    in: Type.Unsafe<'body' | 'querystring' | 'params' | 'headers'>({ type: 'string', enum: ['body', 'querystring', 'params', 'headers'] }),
    path: Type.String({ description: 'JSON pointer (RFC 6901) to what is wrong', examples: ['/agent_type'] }),
    message: Type.String()
  }), { description: 'What is wrong with the request, field by field' }))
}, { $id: 'Problem', description: 'RFC 9457 problem document', additionalProperties: true })

/** What a client and the log are told of a failure. */
export interface Failure extends Details {
  status: number
  /** SCREAMING_CODE; 5xx have only the one of their status, save those that are `told`. */
  code: string
  detail: string
}

/** What is said when there are no words of our own: nothing that a client sent, nothing internal. */
export const details: Record<number, string> = {
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

/** The failure that a status alone stands for. */
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
