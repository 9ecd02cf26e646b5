// The API document: OpenAPI 3.1 made from the routes' schemas, and the page that shows it.
import { readdir, readFile } from 'node:fs/promises'
import { dirname, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import swaggerUi from '@fastify/swagger-ui'
import type { OpenAPIV3_1 as OpenAPI } from 'openapi-types'
import fp from 'fastify-plugin'
import { messageTypes, type MessageType } from '../src/sessions/vocabulary.ts'

interface Body { required: boolean, content: Record<string, { schema: { required?: string[] } }> }

export default fp(async (app) => {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'livekit-sessions',
        version: '1.0.0',
        description: 'Voice and video sessions with AI agents on LiveKit: one call gives a room, a join token, and an agent on its way.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' }
      },
      servers: [{ url: '/', description: 'This server' }],
      tags: [{ name: 'voice-sessions', description: 'Start, watch and end voice sessions' }],
      security: [{ bearer: [] }],
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'The JWT that the app\'s own sign-in gave its user' }
        }
      }
    },
    // A body of optional properties may be left out; the generator takes every body for required.
    transformObject: (document) => {
      const { openapiObject } = document as { openapiObject: Partial<OpenAPI.Document> }
      for (const item of Object.values(openapiObject.paths ?? {})) {
        for (const { requestBody } of Object.values(item as Record<string, { requestBody?: Body }>)) {
          if (requestBody) requestBody.required = (requestBody.content['application/json']?.schema.required?.length ?? 0) > 0
        }
      }
      const schemas = (openapiObject.components ??= {}).schemas ??= {}
      openapiObject.paths = nameSchemas(openapiObject.paths, schemas as Record<string, unknown>) as OpenAPI.PathsObject
      openapiObject.webhooks = Object.fromEntries(messageTypes.map((type) => [type, { post: webhook(type) } as OpenAPI.PathItemObject]))
      return openapiObject
    },
    refResolver: { buildLocalReference: (json, _baseUri, _fragment, i) => String(json.$id ?? `def-${i}`) }
  })
  if (app.config.API_DOCS === 'off') return
  await app.register(async (docs) => {
    await serveFromMemory(docs)
    await docs.register(swaggerUi, {
      routePrefix: '/api/docs',
      // Everything else answers with a policy that allows nothing (http/index.ts); the page loads its own files.
      staticCSP: "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      logLevel: 'warn',
      uiConfig: { deepLinking: true, tryItOutEnabled: true }
    })
  })
}, { name: 'swagger', decorators: { fastify: ['config'] } })

const summaries: Record<MessageType, string> = {
  'session.started': 'The room is there and its token given out',
  'session.ended': 'A session is over',
  'agent.joined': 'An agent came',
  'agent.failed': 'Agents were sent for as often as may be, and none came',
  'transcript.ready': 'What was said in a session that is over can be read',
  'recording.ready': 'The recording of a session can be had'
}
const header = (name: string, description: string) => ({ name, in: 'header' as const, required: true, description, schema: { type: 'string' as const } })

/** A message to the app's backend (docs/webhooks.md): what the service sends, where the rest of the document is what it is sent. */
function webhook (type: MessageType): OpenAPI.OperationObject {
  return {
    operationId: `on.${type}`.replace(/\.(\w)/g, (_dot, letter: string) => letter.toUpperCase()), // onSessionStarted
    summary: summaries[type],
    description: 'Posted to each endpoint that wants it, in the form of Standard Webhooks: at least once, those of a session in their order.',
    tags: ['webhook-endpoints'],
    security: [],
    parameters: [
      header('webhook-id', 'The same for every attempt: tells repetitions'),
      header('webhook-timestamp', 'When it was signed, seconds since 1970'),
      header('webhook-signature', 'v1,<base64>, one for each secret that is valid, with a blank between')
    ],
    requestBody: {
      required: true,
      content: {
        'application/json': {
          schema: {
            type: 'object',
            required: ['type', 'timestamp', 'data'],
            properties: {
              type: { type: 'string', enum: [type] },
              timestamp: { type: 'string', format: 'date-time', description: 'When it happened' },
              data: { $ref: '#/components/schemas/Session' }
            }
          }
        }
      }
    },
    responses: { '2XX': { description: 'Taken; anything else is tried again' } }
  }
}

const types: Record<string, string> = { '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.html': 'text/html; charset=utf-8', '.png': 'image/png', '.svg': 'image/svg+xml' }

/**
 * Serves the files of the page from memory: a client that does not read its answers holds no file open.
 * There are a dozen of them, read once; what is not among them is not there.
 */
async function serveFromMemory (docs: FastifyInstance): Promise<void> {
  const folder = join(dirname(fileURLToPath(import.meta.resolve('@fastify/swagger-ui'))), 'static')
  const files = new Map(await Promise.all((await readdir(folder)).map(async (name) => [name, await readFile(join(folder, name))] as const)))
  docs.addHook('preHandler', async (request, reply) => {
    if (!request.routeOptions.url?.endsWith('/static/*')) return
    const { '*': name } = request.params as { '*': string }
    const file = files.get(name)
    if (!file) return reply.callNotFound()
    return reply.header('cache-control', 'public, max-age=3600').type(types[extname(name)] ?? 'application/octet-stream').send(file)
  })
}

/**
 * Moves each schema that has a title to the document's components and puts a reference in its place:
 * generated SDKs get one type for it, under that name. Two schemas of one title have to be the same.
 */
function nameSchemas (node: unknown, schemas: Record<string, unknown>): unknown {
  if (typeof node !== 'object' || node === null) return node
  if (Array.isArray(node)) return node.map((one) => nameSchemas(one, schemas))
  const copy: Record<string, unknown> = Object.fromEntries(Object.entries(node).map(([key, value]) => [key, /^examples?$/.test(key) ? value : nameSchemas(value, schemas)]))
  if (copy.type !== 'object' || typeof copy.title !== 'string') return copy
  const { title, ...schema } = copy
  if (title in schemas && JSON.stringify(schemas[title]) !== JSON.stringify(schema)) throw new Error(`Two schemas are called ${title}`)
  schemas[title] = schema
  return { $ref: `#/components/schemas/${title}` }
}
