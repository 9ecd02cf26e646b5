// What is stored of a user over HTTP: all of it to take away, or gone; for the user and for administrators.
import { Readable } from 'node:stream'
import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import fp from 'fastify-plugin'
import { problems, userIdPattern } from './schemas.ts'

const Params = Type.Object({ user_id: Type.String({ pattern: userIdPattern, description: 'The user', examples: ['alice'] }) })
const rows = (description: string) => Type.Array(Type.Record(Type.String(), Type.Unknown()), { description })
const Export = Type.Object({
  sessions: rows('The user\'s sessions, each with its participants, and what its agents have used'),
  events: rows('What happened in them, and was refused to the user'),
  acts: rows('What the user did to what is somebody else\'s'),
  messages: rows('What the app\'s backend was told of'),
  usage: rows('What was used, by days'),
  transcripts: rows('What was said in them, where a transcript was asked for; lines are null where its key is gone'),
  recordings: rows('Where their recordings can be had, for a quarter of an hour')
}, {
  title: 'UserExport',
  description: 'Everything that is stored of the user',
  examples: [{ sessions: [], events: [{ id: '1', session_id: null, at: '2026-01-01T10:00:00.000Z', type: 'access.denied', actor: 'user:alice', data: { reason: 'too_many_sessions' } }], acts: [], messages: [], usage: [], transcripts: [], recordings: [] }]
})
const Erased = Type.Object({
  status: Type.Unsafe<'erased' | 'erasing'>({ type: 'string', enum: ['erased', 'erasing'], description: 'Gone, or going: a session whose room could come back, or of which a message is on its way, and files of recordings go last' })
}, { title: 'ErasedUser', description: 'What may go now is gone', examples: [{ status: 'erasing' }] })
const tags = ['users']

/**
 * A JSON object of long lists, written as they are read: it is never whole in memory.
 * The first bytes come with the first rows, so that a database that is away is a problem document still.
 */
async function * json (lists: Record<string, AsyncIterable<object>>) {
  let open = '{'
  for (const [name, list] of Object.entries(lists)) {
    let before = `${open}${JSON.stringify(name)}:[`
    for await (const row of list) {
      yield `${before}${JSON.stringify(row)}`
      before = ','
    }
    if (before !== ',') yield before
    open = '],'
  }
  yield ']}'
}

const users: FastifyPluginAsyncTypebox = async (app) => {
  app.addHook('onRequest', app.authenticate)

  app.get('/:user_id/export', {
    schema: {
      operationId: 'exportUserData',
      tags,
      summary: 'Take away everything that is stored of a user',
      description: 'For the user, and for administrators, which is on record.',
      params: Params,
      response: { 200: Export, ...problems(400, 401, 403, 429, 500, 503) }
    }
  }, async (request, reply) => {
    const lists = await app.privacy.export(request, request.params.user_id)
    // Described by its schema, but not made by it: a stream is sent as it is.
    const raw = reply as FastifyReply
    return raw.type('application/json; charset=utf-8').send(Readable.from(json(lists)))
  })

  app.delete('/:user_id/data', {
    schema: {
      operationId: 'eraseUserData',
      tags,
      summary: 'Delete everything that is stored of a user',
      description: 'For the user, and for administrators. Live sessions are ended. Lines about others lose the user\'s name. That it was done stays on record, without the name.',
      params: Params,
      response: { 200: Erased, ...problems(400, 401, 403, 429, 500, 503) }
    }
  }, async (request) => app.privacy.erase(request, request.params.user_id))
}

export default fp(users, { name: 'users', encapsulate: true, dependencies: ['errors', 'auth'], decorators: { fastify: ['privacy', 'authenticate'] } })
