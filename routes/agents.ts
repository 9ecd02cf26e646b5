// What the agents hand over and ask for, with the tokens that came with their dispatch: lines of transcripts, what they use, tokens for tools. Not for users, and not in their document.
import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { written } from '../src/sessions/vocabulary.ts'
import { choice, givenTime, idOf, Strict } from './schemas.ts'

/** As many lines as the agents put into one request, each as long as it may be (agents/src/transcript.ts). */
const LINES = 8
const CHARACTERS = 8000
const BODY_LIMIT = 300 * 1024

const number = Type.Integer({ minimum: 0, maximum: 1_000_000 })
const Batch = Strict({
  writer: Type.String({ format: 'uuid' }),
  lines: Type.Array(Strict({
    seq: number,
    revision: number,
    at: givenTime('When its first word was said', '2026-01-01T10:00:00Z'),
    until: givenTime('When its last word was said', '2026-01-01T10:00:01Z'),
    by: choice(written, 'Who said it'),
    text: Type.String({ minLength: 1, maxLength: CHARACTERS })
  }), { maxItems: LINES }),
  done: Type.Optional(Type.Boolean())
})
const amount = Type.Integer({ minimum: 0, maximum: 1_000_000_000_000 })
const Report = Strict({
  writer: Type.String({ format: 'uuid' }),
  seq: number,
  stt_ms: amount,
  tts_ms: amount,
  input_tokens: amount,
  output_tokens: amount,
  tool_calls: amount
})

const bearer = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/i

const ToolTokenRequest = Strict({ audience: Type.String({ pattern: '^[\\x21-\\x7e]{1,256}$' }) })

/** Minutes for which whoever verifies tool tokens may keep the public keys: a new key is to be published so long before it signs. */
const KEYS_MAX_AGE = 5

const Id = Type.Object({ id: idOf('The session') })

const agents: FastifyPluginAsyncTypebox = async (app) => {
  /** Before the body is read: the token is that of the session in the path. */
  async function onRequest (request: FastifyRequest): Promise<void> {
    const token = bearer.exec(request.headers.authorization ?? '')?.[1]
    try {
      app.agentTokens.check(token, (request.params as { id: string }).id)
    } catch (error) {
      await app.countRefusal(request) // whoever is no agent may not try for ever
      throw Object.assign(error as Error, { headers: { 'www-authenticate': 'Bearer realm="agents"' } })
    }
  }
  // Many agents share an address: what bounds them is their token, and what one session may hold.
  const config = { rateLimit: false } as const

  app.post('/sessions/:id/transcript', { bodyLimit: BODY_LIMIT, schema: { hide: true, params: Id, body: Batch }, config, onRequest }, async (request) =>
    app.transcripts.write(request.params.id, request.body, request.deadline))

  app.post('/sessions/:id/usage', { schema: { hide: true, params: Id, body: Report }, config, onRequest }, async (request) =>
    app.usage.report(request.params.id, request.body, request.deadline))

  app.post('/sessions/:id/tool-token', { schema: { hide: true, params: Id, body: ToolTokenRequest }, config, onRequest }, async (request) =>
    app.toolTokens.issue(request.params.id, request.body.audience, request.log, request.deadline))

  app.get('/jwks.json', { schema: { hide: true } }, async (_request, reply) => {
    reply.header('cache-control', `public, max-age=${KEYS_MAX_AGE * 60}`)
    return app.toolTokens.published()
  })
}

export default fp(agents, { name: 'agents', encapsulate: true, dependencies: ['errors'], decorators: { fastify: ['agentTokens', 'transcripts', 'usage', 'toolTokens', 'countRefusal'] } })
