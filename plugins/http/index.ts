// HTTP made strict: the options of the server, and one hook that every request passes first.
import { randomUUID } from 'node:crypto'
import type { Server } from 'node:http'
import { BlockList, isIPv6, type Socket } from 'node:net'
import { LogController, type FastifyHttpOptions, type FastifyReply, type FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { clientErrorHandler, refuse } from './client-errors.ts'
import { limitConnections } from './connections.ts'
import { answer } from './errors.ts'
import { acceptJsonOnly } from './json.ts'
import { loggerOptions } from './logger.ts'
import { refuseHead } from './request-head.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** When the request has to be answered, on the scale of performance.now() (ms). */
    deadline: number
  }
  interface FastifyContextConfig {
    /** From arrival to answer, for a route that may take longer than others (ms). */
    deadline?: number
  }
}

/** From arrival to answer, all calls out included (ms). */
const requestDeadline = 7000

/** The validator's own take more than JavaScript and PostgreSQL can store: `urn:uuid:...`, leap seconds, offsets without minutes. */
const formats = {
  uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i,
  'date-time': /^(19|2\d)\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$/
}

const requestId = /^[A-Za-z0-9._-]{1,64}$/

/**
 * The options Fastify is made with. What they say is more than a default: without them slow clients hold sockets for minutes,
 * bodies are coerced and stripped, and bad addresses are repeated to whoever sent them.
 * @param proxies whose X-Forwarded-For is believed; the plugin below fills it from the configuration, which is read after the constructor
 * @param stream where log lines go instead of stdout, for tests
 * @param logFields what every log line has besides
 */
export function serverOptions (proxies: BlockList, stream?: { write: (line: string) => void }, logFields?: () => object): FastifyHttpOptions<Server> {
  return {
    logger: loggerOptions(stream, logFields),
    // errors.ts tells of each failure once, the metrics of everything else.
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: ({ headers: { 'x-request-id': given } }) => typeof given === 'string' && requestId.test(given) ? given : randomUUID(),
    trustProxy: (address) => proxies.check(address, familyOf(address)),

    requestTimeout: 10_000,
    http: { headersTimeout: 5000, connectionsCheckingInterval: 1000, requireHostHeader: false },
    return503OnClosing: false,
    bodyLimit: 16 * 1024,

    // A name of 256 bytes, each of them percent-encoded.
    routerOptions: { caseSensitive: true, maxParamLength: 768 },
    exposeHeadRoutes: true,
    // RFC 9112 section 3.2.2: an address may come with scheme and authority. The rest of the house sees its path only.
    rewriteUrl: ({ url = '/' }) => url.startsWith('/') ? url : url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*\/?/i, '/'),
    ajv: {
      customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: true, allErrors: false },
      onCreate: (ajv) => { for (const [name, format] of Object.entries(formats)) ajv.addFormat(name, format) }
    },

    clientErrorHandler,
    frameworkErrors: (error, request, reply) => {
      setHeaders(request as FastifyRequest, reply as FastifyReply)
      answer(error, request as FastifyRequest, reply as FastifyReply)
    }
  }
}

function setHeaders (request: FastifyRequest, reply: FastifyReply): void {
  reply.header('x-request-id', request.id)
  reply.header('cache-control', 'no-store')
  reply.header('x-content-type-options', 'nosniff')
  reply.header('referrer-policy', 'no-referrer')
  reply.header('content-security-policy', "default-src 'none'; frame-ancestors 'none'")
}

function familyOf (address: string) {
  return isIPv6(address) ? 'ipv6' as const : 'ipv4' as const
}

/** @throws Error naming TRUST_PROXY when it holds something that is no address and no subnet */
function trust (addresses: string, proxies: BlockList): void {
  for (const entry of addresses.split(',')) {
    const [address = '', bits] = entry.trim().split('/')
    try {
      if (bits === undefined) proxies.addAddress(address, familyOf(address))
      else proxies.addSubnet(address, Number(bits), familyOf(address))
    } catch (cause) {
      throw new Error(`The environment is not right: TRUST_PROXY holds "${entry.trim()}", which is no address and no subnet.`, { cause })
    }
  }
}

export default fp(async (app, { proxies, maxConnections }: { proxies: BlockList, maxConnections?: number }) => {
  if (app.config.TRUST_PROXY) trust(app.config.TRUST_PROXY, proxies)
  app.log.level = app.config.LOG_LEVEL as string
  acceptJsonOnly(app)
  limitConnections(app, maxConnections)

  app.decorateRequest('deadline', 0)
  app.addHook('onRequest', (request, reply, done) => {
    request.deadline = performance.now() + (request.routeOptions.config?.deadline ?? requestDeadline)
    setHeaders(request, reply)
    done(refuseHead(request.raw))
  })

  // Node would answer both by itself: with an empty 417, and by closing the socket.
  app.server.on('checkExpectation', app.routing)
  app.server.on('connect', (_request, socket) => refuse(app, socket as Socket, 405, 'CONNECT', { Allow: 'GET, HEAD, POST, PATCH, DELETE' }))
}, { name: 'http', decorators: { fastify: ['config', 'countRefusal', 'requestDuration'] } })
