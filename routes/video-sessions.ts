// Video sessions with an avatar over HTTP (requirements part B): the contract; the rules are those of every session.
import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { roomRoutes } from './room-routes.ts'
import { idempotencyKey, idOf, problems, recordingWanted, roomName, Strict, transcriptWanted } from './schemas.ts'

const RoomRequest = Strict({ counselor_category: idOf('The counsellor category'), transcript: transcriptWanted, recording: recordingWanted }, { title: 'VideoSessionRequest', examples: [{ counselor_category: '7d1b6c0e-6a3c-4a53-9f6e-0d8f2f6f4f11' }] })
const Created = Type.Object({
  room_url: Type.String({ description: 'LiveKit\'s address as https:// (or http://)' }),
  access_token: Type.String({ description: 'LiveKit join token: this room, this user, microphone only' }),
  room_name: roomName,
  session_id: idOf('The session')
}, {
  title: 'StartedVideoSession',
  description: 'The room, and what it takes to join it',
  examples: [{ room_url: 'https://livekit.example.com', access_token: 'eyJhbGciOiJIUzI1NiJ9...', room_name: 'video-7d1b6c0e-6a3c-4a53-9f6e-0d8f2f6f4f11', session_id: '7d1b6c0e-6a3c-4a53-9f6e-0d8f2f6f4f11' }]
})
const tags = ['video-sessions']
const answer = ({ session, token, livekit_url: url }: { session: { id: string, room_name: string }, token: string, livekit_url: string }) =>
  ({ room_url: url.replace(/^ws/, 'http'), access_token: token, room_name: session.room_name, session_id: session.id })

/** `POST /create-room`, for the two paths it is asked for at (B). */
export const createRoom: FastifyPluginAsyncTypebox<{ alias?: boolean }> = async (app, { alias = false }) => {
  app.addHook('onRequest', app.authenticate)

  app.post('/create-room', {
    schema: {
      operationId: alias ? 'createVideoRoom' : 'startVideoSession',
      tags,
      summary: alias ? 'Start a video session (the same as /api/v1/video/create-room)' : 'Start a video session',
      description: 'Creates a room, waits until its avatar agent is on its way, and answers with a token to join it. With an Idempotency-Key, the same request again gives the same room and a fresh token.',
      headers: Type.Object({ 'idempotency-key': idempotencyKey }),
      body: RoomRequest,
      response: { 200: Created, ...problems(400, 401, 404, 409, 413, 415, 422, 429, 500, 503) }
    },
    config: { deadline: (app.config.VIDEO_DISPATCH_TIMEOUT + 1) * 1000 }
  }, async (request, reply) => {
    const category = await app.categories.find(request, request.body.counselor_category)
    const started = await app.sessions.start(request, 'video', { category, transcript: request.body.transcript, recording: request.body.recording }, request.headers['idempotency-key'])
    if (started.replayed) reply.header('idempotent-replayed', 'true')
    return answer(started)
  })
}

const videoSessions: FastifyPluginAsyncTypebox = async (app) => {
  await app.register(createRoom)
  app.addHook('onRequest', app.authenticate)
  await app.register(roomRoutes, {
    mode: 'video',
    tags,
    status: { avatar_connected: Type.Boolean({ description: 'The avatar really is in the room' }) },
    listed: { properties: { counselor_category: Type.Unsafe<string | null>({ type: ['string', 'null'], description: 'Name of the category' }) }, example: { counselor_category: 'Study stress' } },
    token: { schema: Created, answer }
  })
}

export default fp(videoSessions, { name: 'video-sessions', encapsulate: true, dependencies: ['errors', 'auth'], decorators: { fastify: ['config', 'sessions', 'categories', 'ingress', 'authenticate'] } })
