// Heads of requests that are refused before anybody looks at what they want; Node and Fastify would let all of them pass.
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import createError from '@fastify/error'

const BadHeaders = createError<[string]>('BAD_HEADERS', 'The request %s.', 400)
const BadAddress = createError('BAD_ADDRESS', 'The address holds a character that is not allowed.', 400)
const ExpectationFailed = createError('EXPECTATION_FAILED', 'The only expectation that is understood is 100-continue.', 417)

const single = new Set(['host', 'authorization', 'content-type', 'content-length', 'idempotency-key'])
const host = /^[\w.~!$&'()*+,;=:%[\]-]*$/
const closing = new WeakSet<Socket>()

/**
 * The error that a request's head deserves. One that two parsers could read differently takes the connection with it,
 * and what the client has sent behind it already: Node would still run that.
 */
export function refuseHead (request: IncomingMessage): Error | undefined {
  const { headers, httpVersion, socket, url = '' } = request
  const ambiguity = closing.has(socket) ? 'follows one that was refused' : findAmbiguity(request)
  if (ambiguity) {
    closing.add(socket)
    return Object.assign(new BadHeaders(ambiguity), { headers: { connection: 'close' } })
  }
  if (headers.expect !== undefined && httpVersion === '1.1' && headers.expect.toLowerCase() !== '100-continue') return new ExpectationFailed()
  // The database cannot store NUL; every other byte that is odd in a name is for the routes' patterns to refuse.
  if (url.includes('%00')) return new BadAddress()
}

function findAmbiguity ({ rawHeaders, headers, httpVersion }: IncomingMessage): string | undefined {
  // Of two Authorization or Host lines Node keeps the first, others keep the last.
  const seen = new Set<string>()
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!.toLowerCase()
    if (!single.has(name)) continue
    if (seen.has(name)) return `has more than one ${name} header`
    seen.add(name)
  }
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return 'must be HTTP/1.1'
  // RFC 9112 section 6.1: Node hands on a request with any last coding before it refuses the body.
  const coding = headers['transfer-encoding']
  if (coding !== undefined && httpVersion === '1.0') return 'must not use a transfer coding in HTTP/1.0'
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') return 'must use no transfer coding but chunked'
  // RFC 9112 section 3.2: HTTP/1.0 may do without Host.
  if (headers.host === undefined ? httpVersion === '1.1' : !host.test(headers.host)) return 'needs a valid host header'
}
