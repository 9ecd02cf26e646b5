// Voice sessions over HTTP (requirements part A): the contract and the status codes; the rules are app.sessions.
import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { agentType, at, idempotencyKey, problems, roomName, roomNameExample, startedAgentType, Strict } from './schemas.ts'

const StartRequest = Strict({ agent_type: Type.Optional(agentType) }, { title: 'VoiceSessionRequest', examples: [{ agent_type: 'workout' }, {}] })
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
const Status = Type.Object({
  room_name: roomName,
  active: Type.Boolean({ description: 'Somebody is in the room' }),
  participants: Type.Integer({ minimum: 0, description: 'How many, user and agent' }),
  agent_connected: Type.Boolean({ description: 'An agent really is in the room' }),
  created_at: at('When the session was started')
}, { title: 'VoiceSessionStatus', description: 'Who is in the room now', examples: [{ room_name: roomNameExample, active: true, participants: 2, agent_connected: true, created_at: '2026-01-01T10:00:00.000Z' }] })
const Ended = Type.Object({ status: Type.Literal('ended'), room_name: roomName }, { title: 'EndedVoiceSession', description: 'The session is over', examples: [{ status: 'ended', room_name: roomNameExample }] })
const Active = Type.Object({
  sessions: Type.Array(Type.Object({ room_name: roomName, agent_type: startedAgentType, participants: Type.Integer({ minimum: 0 }), created_at: at('When the session was started') }))
}, { title: 'ActiveVoiceSessions', description: 'The caller\'s live sessions', examples: [{ sessions: [{ room_name: roomNameExample, agent_type: 'workout', participants: 2, created_at: '2026-01-01T10:00:00.000Z' }] }, { sessions: [] }] })

const tags = ['voice-sessions']
const Room = Type.Object({ room_name: roomName })

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
    const { session, replayed, ...started } = await app.sessions.start(request, 'voice', request.body, request.headers['idempotency-key'])
    if (replayed) reply.header('idempotent-replayed', 'true')
    return { ...session, ...started }
  })

  app.get('/:room_name/status', {
    schema: {
      operationId: 'getVoiceSessionStatus',
      tags,
      summary: 'Watch a voice session',
      description: 'Who is in the room now, as LiveKit sees it.',
      params: Room,
      response: { 200: Status, ...problems(400, 401, 403, 404, 429, 500, 503) }
    }
  }, async (request) => app.sessions.status(request, 'voice', request.params.room_name))

  app.post('/:room_name/token', {
    schema: {
      operationId: 'rejoinVoiceSession',
      tags,
      summary: 'Rejoin a voice session',
      description: 'A fresh token for a live session of one\'s own, after a reload or a lost connection.',
      params: Room,
      response: { 200: Started, ...problems(400, 401, 403, 404, 429, 500, 503) }
    }
  }, async (request) => {
    const { session, ...issued } = await app.sessions.rejoin(request, 'voice', request.params.room_name)
    return { ...session, ...issued }
  })

  app.delete('/:room_name', {
    schema: {
      operationId: 'endVoiceSession',
      tags,
      summary: 'End a voice session',
      description: 'Deletes the room: everybody in it is disconnected, and its tokens open nothing any more.',
      params: Room,
      response: { 200: Ended, ...problems(400, 401, 403, 404, 429, 500, 503) }
    }
  }, async (request) => app.sessions.end(request, 'voice', request.params.room_name))

  app.get('/active', {
    schema: {
      operationId: 'listActiveVoiceSessions',
      tags,
      summary: 'List one\'s live voice sessions',
      description: 'The caller\'s own live sessions, newest first.',
      response: { 200: Active, ...problems(401, 429, 500, 503) }
    }
  }, async (request) => app.sessions.active(request, 'voice'))
}

export default fp(voiceSessions, {
  name: 'voice-sessions',
  encapsulate: true,
  dependencies: ['errors', 'auth'],
  decorators: { fastify: ['sessions', 'authenticate'] }
})
