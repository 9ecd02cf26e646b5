// LiveKit's TokenSource contract: any LiveKit client SDK starts and rejoins voice sessions here as it is (D5).
// https://docs.livekit.io/frontends/authentication/tokens/endpoint/
import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { agentTypes, type AgentType } from '../src/sessions/vocabulary.ts'
import { invalidBody, problems, roomName, roomNameExample, Strict } from './schemas.ts'

// Who one is and what one may do comes from the user's own token; a client that tries to say it is told so, field by field.
const notYours = (what: string) => Type.Optional(Type.Never({ description: `Not for clients: ${what}` }))

const Issued = Type.Object({
  server_url: Type.String({ description: 'Where a LiveKit client connects to' }),
  participant_token: Type.String({ description: 'LiveKit join token' })
}, { title: 'IssuedToken', description: 'What a LiveKit client needs to join', examples: [{ server_url: 'wss://livekit.example.com', participant_token: 'eyJhbGciOiJIUzI1NiJ9...' }] })

const token: FastifyPluginAsyncTypebox = async (app) => {
  app.addHook('onRequest', app.authenticate)

  const Agent = Strict({
    agent_name: Type.Optional(Type.Literal(app.config.VOICE_AGENT_NAME, { description: 'The configured voice agent, and no other' })),
    metadata: Type.Optional(Type.String({ maxLength: 200, description: 'JSON: what the agent is for', examples: ['{"agent_type":"diet"}'] })),
    deployment: notYours('where an agent runs')
  })
  const Wanted = Strict({
    room_name: Type.Optional(roomName),
    room_config: Type.Optional(Strict({ agents: Type.Optional(Type.Array(Agent, { maxItems: 1 })) })),
    participant_name: Type.Optional(Type.String({ maxLength: 254, description: 'The name that the user\'s token gives, and no other' })),
    participant_identity: Type.Optional(Type.String({ maxLength: 128, description: 'The identity that the user\'s token gives, and no other' })),
    participant_metadata: notYours('the service sets none'),
    participant_attributes: notYours('the service sets none')
  }, { title: 'TokenRequest', examples: [{}, { room_name: roomNameExample }, { room_config: { agents: [{ agent_name: 'voice-agent', metadata: '{"agent_type":"diet"}' }] } }] })

  app.post('', {
    schema: {
      operationId: 'issueToken',
      tags: ['token-source'],
      summary: 'Start or rejoin, as LiveKit\'s TokenSource asks for it',
      description: 'Without a room name: starts a voice session. With one: a fresh token for that live session of one\'s own. An Idempotency-Key is ignored here, because TokenSource fixes its headers once for all.',
      body: Wanted,
      response: { 201: Issued, ...problems(400, 401, 403, 404, 409, 413, 415, 429, 500, 503) }
    },
    preValidation: async (request) => { request.body ??= {} }
  }, async (request, reply) => {
    const { room_name: wanted, room_config: config, participant_identity: identity = request.user.id, participant_name: name = request.user.name } = request.body
    if (identity !== request.user.id) throw invalidBody('/participant_identity', 'must be your own')
    if (name !== request.user.name) throw invalidBody('/participant_name', 'must be your own')
    const type = agentTypeOf(config?.agents?.[0]?.metadata)
    const issued = wanted
      ? await app.sessions.rejoin(request, undefined, wanted)
      : await app.sessions.start(request, 'voice', { agent_type: type })
    reply.code(201)
    return { server_url: issued.livekit_url, participant_token: issued.token }
  })
}

/** The agent type that a dispatch's metadata asks for: `{"agent_type": "..."}`, or nothing. */
function agentTypeOf (metadata = ''): AgentType {
  const path = '/room_config/agents/0/metadata'
  if (metadata.trim() === '') return 'general'
  let said: { agent_type?: AgentType }
  try {
    said = JSON.parse(metadata)
  } catch {
    throw invalidBody(path, 'must be JSON')
  }
  if (typeof said !== 'object' || said === null || Array.isArray(said)) throw invalidBody(path, 'must be a JSON object')
  const { agent_type: type = 'general', ...others } = said
  if (Object.keys(others).length > 0) throw invalidBody(path, 'must hold nothing but agent_type')
  if (!agentTypes.includes(type)) throw invalidBody(path, `agent_type must be one of ${agentTypes.join(', ')}`)
  return type
}

export default fp(token, { name: 'token', encapsulate: true, dependencies: ['errors', 'auth'], decorators: { fastify: ['config', 'sessions', 'authenticate'] } })
