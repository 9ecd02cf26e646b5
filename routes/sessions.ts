// The history of sessions over HTTP: one's own, and for administrators everybody's, with what happened in each.
import { Type, type FastifyPluginAsyncTypebox, type Static } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { agentStates, endReasons, eventTypes, modeNames, states, transcriptStates, type IngressKind, type IngressState } from '../src/sessions/vocabulary.ts'
import { at, atOrNull, choice, choiceOrNull, costOfUsage, givenTime, idOf, ingressProperties, problems, Recording, roomName, roomNameExample, startedAgentType, Strict, usageExample, usageProperties, userIdPattern } from './schemas.ts'

const properties = {
  id: idOf('The session'),
  mode: choice(modeNames, 'Voice or video'),
  room_name: roomName,
  user_id: Type.String({ description: 'Whose session it is' }),
  agent_type: Type.Optional(startedAgentType),
  counselor_category: Type.Optional(Type.String({ description: 'Name of the counsellor category of a video session' })),
  language: Type.Optional(Type.String({ description: 'Language that was asked for (BCP 47); the agent\'s own when missing' })),
  text_only: Type.Optional(Type.Boolean({ description: 'Whether it was started as a conversation in writing' })),
  state: choice(states, 'Where it is on its way'),
  end_reason: choiceOrNull(endReasons, 'Why it ended; null while it has not'),
  agent: Type.Object({
    state: choice(agentStates, 'What is known of the agent: none was asked for, on its way, there, gone, or given up'),
    dispatches: Type.Integer({ minimum: 0, description: 'How often one was sent for' }),
    joined_at: atOrNull('When it joined last')
  }),
  transcript: choiceOrNull(transcriptStates, 'What was said: being written, whole, or deleted; null when no transcript was asked for'),
  recording: Type.Unsafe<Static<typeof Recording> | null>({
    oneOf: [
      Recording,
      Type.Null()
    ],
    description: 'The recording; null when none was asked for'
  }),
  ingress: Type.Unsafe<{ kind: IngressKind, state: IngressState } | null>({
    oneOf: [Type.Object(ingressProperties, { title: 'Ingress' }), Type.Null()],
    description: 'The ingress by which its user can bring in a stream; null when there is none'
  }),
  created_at: at('When it was started'),
  ended_at: atOrNull('When it ended'),
  expires_at: at('When it ends at the latest')
}
const example = {
  id: '7d1b6c0e-6a3c-4a53-9f6e-0d8f2f6f4f11',
  mode: 'voice',
  room_name: roomNameExample,
  user_id: 'alice',
  agent_type: 'workout',
  state: 'ended',
  end_reason: 'user',
  agent: { state: 'left', dispatches: 1, joined_at: '2026-01-01T10:00:01.000Z' },
  transcript: null,
  recording: null,
  ingress: null,
  created_at: '2026-01-01T10:00:00.000Z',
  ended_at: '2026-01-01T10:12:30.000Z',
  expires_at: '2026-01-01T16:00:00.000Z'
}
const Page = Type.Object({
  sessions: Type.Array(Type.Object(properties, { title: 'Session' })),
  next_cursor: Type.Unsafe<string | null>({ type: ['string', 'null'], description: 'Where the next page begins; null on the last one' })
}, { title: 'SessionPage', description: 'Sessions, newest first', examples: [{ sessions: [example], next_cursor: null }] })
const Detail = Type.Object({
  ...properties,
  usage: Type.Object({
    ...usageProperties,
    cost: costOfUsage,
    participants: Type.Array(Type.Object({
      identity: Type.String({ description: 'Identity in the room' }),
      kind: Type.String({ description: 'STANDARD (a user), AGENT, SIP' }),
      seconds: Type.Number({ minimum: 0, description: 'How long it was connected, all its stays together' })
    }, { title: 'ParticipantUsage' }), { description: 'Whoever was in the room, in the order of their first joins: the first 100' })
  }, { title: 'SessionUsage', description: 'What it has used until now (docs/usage.md)' }),
  events: Type.Array(Type.Object({
    at: at('When'),
    type: choice(eventTypes, 'What'),
    actor: Type.String({ description: 'Who: user:<id>, admin:<id>, livekit or service', examples: ['user:alice'] }),
    data: Type.Record(Type.String(), Type.Unknown(), { description: 'What belongs to it' })
  }, { title: 'SessionEvent' }), { description: 'Oldest first: the latest 1,000, or those before events_cursor' }),
  events_cursor: Type.Unsafe<string | null>({ type: ['string', 'null'], description: 'Where the page of earlier events begins; null on the last one' })
}, {
  title: 'SessionDetail',
  description: 'A session and what happened in it',
  examples: [{ ...example, usage: { ...usageExample, cost: null, participants: [{ identity: 'alice', kind: 'STANDARD', seconds: usageExample.user_seconds }, { identity: 'agent-AJ_6Yr8', kind: 'AGENT', seconds: usageExample.agent_seconds }] }, events: [{ at: '2026-01-01T10:00:00.000Z', type: 'session.started', actor: 'user:alice', data: { mode: 'voice', agent_type: 'workout' } }], events_cursor: null }]
})
const Ended = Type.Object({ status: Type.Literal('ended'), id: idOf('The session') }, { title: 'EndedSession', description: 'The session is over', examples: [{ status: 'ended', id: example.id }] })

// Numbers arrive as text and nothing is coerced: a pattern says which texts are one.
const Filter = Strict({
  limit: Type.Optional(Type.String({ pattern: '^([1-9][0-9]?|100)$', default: '20', description: 'Sessions per page, 1 to 100' })),
  cursor: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_-]{1,128}$', description: 'next_cursor of the page before' })),
  mode: Type.Optional(choice(modeNames, 'Only of this mode')),
  state: Type.Optional(choice(states, 'Only in this state')),
  from: Type.Optional(givenTime('Created at this time or later', '2026-01-01T00:00:00Z')),
  to: Type.Optional(givenTime('Created before this time', '2026-02-01T00:00:00Z')),
  user_id: Type.Optional(Type.String({ pattern: userIdPattern, description: 'Only of this user; for administrators, who otherwise see everybody\'s', examples: ['alice'] }))
})
const Id = Type.Object({ id: idOf('The session') })
const tags = ['sessions']

const sessions: FastifyPluginAsyncTypebox = async (app) => {
  app.addHook('onRequest', app.authenticate)

  app.get('', {
    schema: {
      operationId: 'listSessions',
      tags,
      summary: 'List past and present sessions',
      description: 'The caller\'s own, newest first; administrators see everybody\'s.',
      querystring: Filter,
      response: { 200: Page, ...problems(400, 401, 403, 429, 500, 503) }
    }
  }, async (request) => app.history.list(request, request.query))

  app.get('/:id', {
    schema: {
      operationId: 'getSession',
      tags,
      summary: 'See one session with its events',
      description: 'One\'s own; administrators see any.',
      params: Id,
      querystring: Strict({ events_cursor: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$', description: 'events_cursor of the page before' })) }),
      response: { 200: Detail, ...problems(400, 401, 403, 404, 429, 500, 503) }
    }
  }, async (request) => app.history.get(request, request.params.id, request.query.events_cursor))

  app.delete('/:id', {
    schema: {
      operationId: 'endSession',
      tags,
      summary: 'End a session by its id',
      description: 'One\'s own; administrators end any, which is on record.',
      params: Id,
      response: { 200: Ended, ...problems(400, 401, 403, 404, 429, 500, 503) }
    }
  }, async (request) => app.history.end(request, request.params.id))
}

export default fp(sessions, { name: 'sessions', encapsulate: true, dependencies: ['errors', 'auth'], decorators: { fastify: ['history', 'authenticate'] } })
