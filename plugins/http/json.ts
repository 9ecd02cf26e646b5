// Strict JSON bodies: UTF-8, bounded in depth, free of what the database or a prototype would trip over.
import { isUtf8 } from 'node:buffer'
import createError from '@fastify/error'
import type { FastifyInstance, FastifyRequest } from 'fastify'

const InvalidBody = createError<[string]>('INVALID_BODY', 'The body %s.', 400)
const UnsupportedEncoding = createError('UNSUPPORTED_CONTENT_ENCODING', 'The body must not be compressed.', 415)

const maxDepth = 16
const charset = /;\s*charset\s*=\s*"?([^\s";]*)/i

type Done = (error: Error | null, body?: unknown) => void

/**
 * Makes `app` take `application/json` and nothing else: 415 for other types and for compressed bodies, 400 for what is wrong inside.
 * An empty body is `undefined` whatever its type says: whether one is needed is the route's to say.
 */
export function acceptJsonOnly (app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error')

  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request: FastifyRequest, body: Buffer, done: Done) => {
    const { 'content-type': type = '', 'content-encoding': encoding = 'identity' } = request.headers
    if (encoding !== 'identity') return done(new UnsupportedEncoding())
    const [, named = 'utf-8'] = charset.exec(type) ?? []
    // JSON is UTF-8 whatever the header says (RFC 8259 section 8.1): whoever says otherwise sends something else.
    if (named.toLowerCase() !== 'utf-8') return done(new InvalidBody('must be in UTF-8'))
    if (body.length === 0) return done(null, undefined)
    if (!isUtf8(body)) return done(new InvalidBody('is not valid UTF-8'))
    if (body[0] === 0xEF && body[1] === 0xBB && body[2] === 0xBF) return done(new InvalidBody('must not start with a byte order mark'))

    parse(request, body.toString(), (error, value) => {
      if (error) return done(new InvalidBody('is not valid JSON'))
      done(refusal(value, maxDepth), value)
    })
  })
}

/** PostgreSQL stores neither NUL nor half of a surrogate pair (22021, 22P05): both are refused wherever they stand. */
function refusal (value: unknown, depth: number): Error | null {
  if (typeof value === 'string') return isStorable(value) ? null : new InvalidBody('holds a character that is not allowed')
  if (typeof value !== 'object' || value === null) return null
  if (depth === 0) return new InvalidBody(`is nested deeper than ${maxDepth} levels`)
  for (const [key, inner] of Object.entries(value)) {
    const error = refusal(key, depth) ?? refusal(inner, depth - 1)
    if (error) return error
  }
  return null
}

function isStorable (text: string): boolean {
  return text.isWellFormed() && !text.includes('\0')
}
