// Voice sessions over HTTP (requirements part A): the contract and the status codes; the rules are app.sessions.
import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { roomRoutes } from './room-routes.ts'
import { agentType, at, idempotencyKey, invalidBody, languageWanted, problems, roomName, roomNameExample, recordingWanted, startedAgentType, Strict, summaryWanted, textOnly, transcriptWanted } from './schemas.ts'

const StartRequest = Strict({ agent_type: Type.Optional(agentType), transcript: transcriptWanted, summary: summaryWanted, recording: recordingWanted, text_only: textOnly, language: languageWanted }, { title: 'VoiceSessionRequest', examples: [{ agent_type: 'workout' }, {}] })
const Started = Type.Object({
  room_name: roomName,
  token: Type.String({ description: 'LiveKit join token: this room, this user, nothing else' }),
  livekit_url: Type.String({ description: 'Where a LiveKit client connects to' }),
  agent_type: startedAgentType,
  expires_at: at('When the token stops to open the room')
}, {
  title: 'StartedVoiceSession',
  description: 'The room, and what it takes to join it',
  examples: [{ room_name: roomNameExample, token: 'eyJhbGciOiJIUzI1NiJ9...', livekit_url: 'wss://livekit.example.com', agent_type: 'workout', expires_at: '2026-01-01T16:00:00.000Z' }]
})
const tags = ['voice-sessions']

const voiceSessions: FastifyPluginAsyncTypebox = async (app) => {
  app.addHook('onRequest', app.authenticate)

  app.post('/start', {
    schema: {
      operationId: 'startVoiceSession',
      tags,
      summary: 'Start a voice session',
      description: 'Creates a room with an agent on its way and answers with a token to join it. With an Idempotency-Key, the same request again gives the same room and a fresh token.',
      headers: Type.Object({ 'idempotency-key': idempotencyKey }),
      body: StartRequest,
      response: { 200: Started, ...problems(400, 401, 409, 413, 415, 422, 429, 500, 503) }
    },
    preValidation: async (request) => { request.body ??= {} }
  }, async (request, reply) => {
    if (request.body.summary && !request.body.transcript) throw invalidBody('/summary', 'needs a transcript')
    const { session, replayed, ...issued } = await app.sessions.start(request, 'voice', request.body, request.headers['idempotency-key'])
    if (replayed) reply.header('idempotent-replayed', 'true')
    return { ...session, ...issued }
  })

  await app.register(roomRoutes, {
    mode: 'voice',
    tags,
    listed: { properties: { agent_type: startedAgentType }, example: { agent_type: 'workout' } },
    token: { schema: Started, answer: ({ session, ...issued }) => ({ ...session, ...issued }) }
  })
}

export default fp(voiceSessions, { name: 'voice-sessions', encapsulate: true, dependencies: ['errors', 'auth'], decorators: { fastify: ['sessions', 'ingress', 'authenticate'] } })
