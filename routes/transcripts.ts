// What was said in a session over HTTP, for its owner and for administrators: as JSON, as captions or as text, and deleted by the owner.
import accepts from '@fastify/accepts'
import createError from '@fastify/error'
import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { speakers } from '../src/sessions/vocabulary.ts'
import { at, choice, idOf, problems } from './schemas.ts'

const NotAcceptable = createError('NOT_ACCEPTABLE', 'It can be had as application/json, text/vtt and text/plain.', 406)

const sessionId = idOf('The session')
const example = {
  session_id: '7d1b6c0e-6a3c-4a53-9f6e-0d8f2f6f4f11',
  state: 'ready',
  began_at: '2026-01-01T10:00:00.000Z',
  lines: [
    { at: '2026-01-01T10:00:04.210Z', until: '2026-01-01T10:00:05.900Z', by: 'user', text: 'What is the weather in Paris?' },
    { at: '2026-01-01T10:00:06.100Z', until: '2026-01-01T10:00:06.300Z', by: 'tool', text: 'get_weather' },
    { at: '2026-01-01T10:00:06.900Z', until: '2026-01-01T10:00:08.100Z', by: 'agent', text: 'It is snowy in Paris.' }
  ],
  summary: 'The user asked for the weather in Paris, which is snowy.'
}
const Transcript = Type.Object({
  session_id: sessionId,
  state: choice(['writing', 'ready'] as const, 'Whether more may come'),
  began_at: at('When the session was started: times of captions count from then'),
  lines: Type.Array(Type.Object({
    at: at('When its first word was said'),
    until: at('When its last word was said'),
    by: choice(speakers, 'Who said it; a tool that the agent used is a line, too'),
    text: Type.String({ description: 'What was said; of a tool, its name' })
  }, { title: 'TranscriptLine' }), { description: 'In the order in which they were said' }),
  summary: Type.Unsafe<string | null>({ type: ['string', 'null'], description: 'What it was about, when the start asked for it; null until the end' })
}, { title: 'Transcript', description: 'What was said', examples: [example] })
const asText = (form: string, value: string) => ({ schema: Type.String({ description: form }), examples: { transcript: { value } } })
const Answer = {
  description: 'What was said, in the form that Accept asks for',
  content: {
    'application/json': { schema: Transcript, examples: { transcript: { value: example } } },
    'text/vtt': asText('WebVTT', 'WEBVTT\n\nNOTE summary The user asked for the weather in Paris, which is snowy.\n\n00:00:04.210 --> 00:00:05.900\n<v user>What is the weather in Paris?\n\nNOTE tool get_weather\n\n00:00:06.900 --> 00:00:08.100\n<v agent>It is snowy in Paris.\n'),
    'text/plain': asText('A line each: when, who, what', '[00:00:04] user: What is the weather in Paris?\n[00:00:06] tool: get_weather\n[00:00:06] agent: It is snowy in Paris.\nsummary: The user asked for the weather in Paris, which is snowy.\n')
  }
}
const Deleted = Type.Object({ status: Type.Literal('deleted'), session_id: sessionId }, { title: 'DeletedTranscript', description: 'What was said is gone', examples: [{ status: 'deleted', session_id: example.session_id }] })
const Id = Type.Object({ id: sessionId })
const tags = ['sessions']

const transcripts: FastifyPluginAsyncTypebox = async (app) => {
  await app.register(accepts)
  app.addHook('onRequest', app.authenticate)

  app.get('/:id/transcript', {
    schema: {
      operationId: 'getTranscript',
      tags,
      summary: 'Read what was said in a session',
      description: 'For the owner, and for administrators, who are on record; when the start asked for it: what was said so far, or all of it once the state is `ready`. As JSON, as captions (`Accept: text/vtt`) or as text (`text/plain`).',
      params: Id,
      response: { 200: Answer, ...problems(400, 401, 403, 404, 406, 429, 500, 503) }
    }
  }, async (request, reply) => {
    const form = request.type(['application/json', 'text/vtt', 'text/plain'])
    reply.header('vary', 'accept')
    if (form === false) throw new NotAcceptable()
    const transcript = await app.transcripts.read(request, request.params.id, form as 'application/json' | 'text/vtt' | 'text/plain')
    if (typeof transcript === 'object') return transcript
    return reply.type(`${String(form)}; charset=utf-8`).send(transcript as never)
  })

  app.delete('/:id/transcript', {
    schema: {
      operationId: 'deleteTranscript',
      tags,
      summary: 'Delete what was said in a session',
      description: 'For the owner alone; on record. Also while the session goes on: nothing more is written then.',
      params: Id,
      response: { 200: Deleted, ...problems(400, 401, 403, 404, 429, 500, 503) }
    }
  }, async (request) => app.transcripts.remove(request, request.params.id))
}

export default fp(transcripts, { name: 'transcripts', encapsulate: true, dependencies: ['errors', 'auth'], decorators: { fastify: ['transcripts', 'authenticate'] } })
