// The recordings of a session over HTTP: looked at and deleted, by its owner and by administrators.
import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { idOf, problems, Recording } from './schemas.ts'

const id = idOf('The session')
const example = { id: '7d1b6c0e-6a3c-4a53-9f6e-0d8f2f6f4f11', state: 'ready', started_at: '2026-01-01T10:00:02.300Z', ended_at: '2026-01-01T10:12:30.100Z', duration: 747.8, url: 'https://storage.example.com/calls/recordings/7d1b6c0e-6a3c-4a53-9f6e-0d8f2f6f4f11.ogg?X-Amz-Expires=900&X-Amz-Signature=0f1e' }
const Recordings = Type.Object({ recordings: Type.Array(Recording, { description: 'One, when the start asked for it; else none' }) }, { title: 'Recordings', description: 'The recordings of a session', examples: [{ recordings: [example] }] })
const Deleted = Type.Object({ status: Type.Literal('deleted'), id: idOf('The recording') }, { title: 'DeletedRecording', description: 'The recording is over, and its file is gone soon', examples: [{ status: 'deleted', id: example.id }] })
const tags = ['sessions']

const recordings: FastifyPluginAsyncTypebox = async (app) => {
  app.addHook('onRequest', app.authenticate)

  app.get('/:id/recordings', {
    schema: {
      operationId: 'listRecordings',
      tags,
      summary: 'List the recordings of a session',
      description: 'For the owner, and for administrators, who are on record. Each call makes a link of its own, which opens the file for a quarter of an hour.',
      params: Type.Object({ id }),
      response: { 200: Recordings, ...problems(400, 401, 403, 404, 429, 500, 503) }
    }
  }, async (request) => app.recordings.list(request, request.params.id))

  app.delete('/:id/recordings/:recording_id', {
    schema: {
      operationId: 'deleteRecording',
      tags,
      summary: 'Delete a recording of a session',
      description: 'For the owner, and for administrators; on record. Also while the session goes on: it is not recorded any further then. The file is deleted within seconds, or as soon as its storage answers; links to it open nothing any more.',
      params: Type.Object({ id, recording_id: idOf('The recording') }),
      response: { 200: Deleted, ...problems(400, 401, 403, 404, 429, 500, 503) }
    }
  }, async (request) => app.recordings.remove(request, request.params.id, request.params.recording_id))
}

export default fp(recordings, { name: 'recordings', encapsulate: true, dependencies: ['errors', 'auth'], decorators: { fastify: ['recordings', 'authenticate'] } })
