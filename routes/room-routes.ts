// What every mode offers for a room of one's own: status, a fresh token, an ingress, the end, and the list of the live ones.
import { Type, type TProperties } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { ModeName } from '../src/sessions/vocabulary.ts'
import { at, ingressKind, ingressProperties, problems, roomName, roomNameExample, Strict } from './schemas.ts'

export interface RoomRoutesOptions {
  mode: ModeName
  tags: string[]
  /** What a status says beside the common fields. */
  status?: TProperties
  /** What an entry of the list says beside the common fields, with an example. */
  listed: { properties: TProperties, example: Record<string, unknown> }
  /** Answer of the rejoin, and how it is made of what was issued. */
  token: { schema: ReturnType<typeof Type.Object>, answer: (issued: any) => Record<string, unknown> }
}

const Room = Type.Object({ room_name: roomName })
const time = '2026-01-01T10:00:00.000Z'
const IngressRequest = Strict({ kind: ingressKind }, { title: 'IngressRequest', examples: [{ kind: 'rtmp' }, { kind: 'whip' }] })
const MadeIngress = Type.Object({
  room_name: roomName,
  kind: ingressKind,
  url: Type.String({ description: 'Where it is sent to' }),
  stream_key: Type.String({ description: 'The key that opens it, to whoever has it; told in this answer only. With WHIP it is the bearer token' })
}, {
  title: 'MadeIngress',
  description: 'The ingress, and what it takes to send a stream into it',
  examples: [{ room_name: roomNameExample, kind: 'rtmp', url: 'rtmp://example.com:1935/live', stream_key: 'kG5fTqNHv3Zb' }]
})
const DeletedIngress = Type.Object({ status: Type.Literal('deleted'), room_name: roomName }, { title: 'DeletedIngress', description: 'There is no ingress any more', examples: [{ status: 'deleted', room_name: roomNameExample }] })
const StatusIngress = Type.Optional(Type.Object({ ...ingressProperties, live: Type.Boolean({ description: 'Its stream is in the room now' }) }, { title: 'IngressStatus', description: 'The ingress by which a stream can be brought in; missing when there is none' }))

/** Registers the six routes; the operations are named after the mode (`endVoiceSession`). */
export const roomRoutes: FastifyPluginAsyncTypebox<RoomRoutesOptions> = async (app, { mode, tags, status = {}, listed, token }) => {
  const Mode = mode === 'voice' ? 'Voice' : 'Video'
  const example = { room_name: roomNameExample, active: true, participants: 2, agent_connected: true, ...(mode === 'video' && { avatar_connected: true }), created_at: time }

  app.get('/:room_name/status', {
    schema: {
      operationId: `get${Mode}SessionStatus`,
      tags,
      summary: `Watch a ${mode} session`,
      description: 'Who is in the room now, as LiveKit sees it.',
      params: Room,
      response: {
        200: Type.Object({
          room_name: roomName,
          active: Type.Boolean({ description: 'Somebody is in the room' }),
          participants: Type.Integer({ minimum: 0, description: 'How many, user and agent' }),
          agent_connected: Type.Boolean({ description: 'An agent really is in the room' }),
          ...status,
          ingress: StatusIngress,
          created_at: at('When the session was started')
        }, { title: `${Mode}SessionStatus`, description: 'Who is in the room now', examples: [example] }),
        ...problems(400, 401, 403, 404, 429, 500, 503)
      }
    }
  }, async (request) => app.sessions.status(request, mode, request.params.room_name))

  app.post('/:room_name/token', {
    schema: {
      operationId: `rejoin${Mode}Session`,
      tags,
      summary: `Rejoin a ${mode} session`,
      description: 'A fresh token for a live session of one\'s own, after a reload or a lost connection. It never outlives the session.',
      params: Room,
      response: { 200: token.schema, ...problems(400, 401, 403, 404, 429, 500, 503) }
    }
  }, async (request) => token.answer(await app.sessions.rejoin(request, mode, request.params.room_name)))

  app.post('/:room_name/ingress', {
    schema: {
      operationId: `create${Mode}SessionIngress`,
      tags,
      summary: `Bring a stream into a ${mode} session`,
      description: 'Makes an address and a key to which the owner of the session can send a stream, one at a time. The stream is a participant of kind INGRESS and counts as nobody. It is removed with the session; a lost answer is got over by deleting it and asking again.',
      params: Room,
      body: IngressRequest,
      response: { 201: MadeIngress, ...problems(400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 503) }
    }
  }, async (request, reply) => {
    const ingress = await app.ingress.create(request, mode, request.params.room_name, request.body.kind)
    return reply.code(201).send(ingress)
  })

  app.delete('/:room_name/ingress', {
    schema: {
      operationId: `delete${Mode}SessionIngress`,
      tags,
      summary: `Delete the ingress of a ${mode} session`,
      description: 'Its stream is cut off, and its key opens nothing any more. Where there is none, this is 200 as well.',
      params: Room,
      response: { 200: DeletedIngress, ...problems(400, 401, 403, 404, 429, 500, 503) }
    }
  }, async (request) => app.ingress.remove(request, mode, request.params.room_name))

  app.delete('/:room_name', {
    schema: {
      operationId: `end${Mode}Session`,
      tags,
      summary: `End a ${mode} session`,
      description: 'Deletes the room: everybody in it is disconnected, and its tokens open nothing any more.',
      params: Room,
      response: {
        200: Type.Object({ status: Type.Literal('ended'), room_name: roomName }, { title: `Ended${Mode}Session`, description: 'The session is over', examples: [{ status: 'ended', room_name: roomNameExample }] }),
        ...problems(400, 401, 403, 404, 429, 500, 503)
      }
    }
  }, async (request) => app.sessions.end(request, mode, request.params.room_name))

  app.get('/active', {
    schema: {
      operationId: `listActive${Mode}Sessions`,
      tags,
      summary: `List one's live ${mode} sessions`,
      description: 'The caller\'s own live sessions, newest first.',
      response: {
        200: Type.Object({
          sessions: Type.Array(Type.Object({ room_name: roomName, ...listed.properties, participants: Type.Integer({ minimum: 0 }), created_at: at('When the session was started') }, { title: `Active${Mode}Session` }))
        }, { title: `Active${Mode}Sessions`, description: 'The caller\'s live sessions', examples: [{ sessions: [{ room_name: roomNameExample, ...listed.example, participants: 2, created_at: time }] }, { sessions: [] }] }),
        ...problems(401, 429, 500, 503)
      }
    }
  }, async (request) => app.sessions.active(request, mode))
}
