// What the agents hand over: lines of transcripts, with the token that came with their dispatch. Not for users, and not in their document.
import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { speakers } from '../src/sessions/vocabulary.ts'
import { choice, givenTime, Strict } from './schemas.ts'

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
    by: choice(speakers, 'Who said it'),
    text: Type.String({ minLength: 1, maxLength: CHARACTERS })
  }), { maxItems: LINES }),
  done: Type.Optional(Type.Boolean())
})
declare module 'fastify' {
  interface FastifyRequest {
    /** The session whose transcript an agent's token lets it write. */
    transcriptOf: string
  }
}

const bearer = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/i

const agents: FastifyPluginAsyncTypebox = async (app) => {
  app.decorateRequest('transcriptOf', '')
  // Before the body is read.
  app.addHook('onRequest', async (request) => {
    try {
      request.transcriptOf = app.transcripts.sessionOf(bearer.exec(request.headers.authorization ?? '')?.[1])
    } catch (error) {
      await app.countRefusal(request) // whoever is no agent may not try for ever
      throw error
    }
  })

  // Many agents share an address: what bounds them is their token, and what one transcript may hold.
  app.post('/transcript', { bodyLimit: BODY_LIMIT, schema: { hide: true, body: Batch }, config: { rateLimit: false } }, async (request) =>
    app.transcripts.write(request.transcriptOf, request.body, request.deadline))
}

export default fp(agents, { name: 'agents', encapsulate: true, dependencies: ['errors'], decorators: { fastify: ['transcripts', 'countRefusal'] } })
