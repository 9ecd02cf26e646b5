// The recording of a session over HTTP: deleted by its owner. Where it can be had is said by the session itself.
import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { idOf, problems } from './schemas.ts'

const sessionId = idOf('The session')
const Deleted = Type.Object({ status: Type.Literal('deleted'), session_id: sessionId }, { title: 'DeletedRecording', description: 'The recording is over, and its file is gone soon', examples: [{ status: 'deleted', session_id: '7d1b6c0e-6a3c-4a53-9f6e-0d8f2f6f4f11' }] })

const recordings: FastifyPluginAsyncTypebox = async (app) => {
  app.addHook('onRequest', app.authenticate)

  app.delete('/:id/recording', {
    schema: {
      operationId: 'deleteRecording',
      tags: ['sessions'],
      summary: 'Delete the recording of a session',
      description: 'For the owner alone; on record. Also while the session goes on: it is not recorded any further then. The file is deleted within seconds, or as soon as its storage answers; links to it open nothing any more.',
      params: Type.Object({ id: sessionId }),
      response: { 200: Deleted, ...problems(400, 401, 403, 404, 429, 500, 503) }
    }
  }, async (request) => app.recordings.remove(request, request.params.id))
}

export default fp(recordings, { name: 'recordings', encapsulate: true, dependencies: ['errors', 'auth'], decorators: { fastify: ['recordings', 'authenticate'] } })
