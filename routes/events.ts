// What happens, as it happens: Server-Sent Events of a session or of all, and the sessions in numbers for administrators.
// https://html.spec.whatwg.org/multipage/server-sent-events.html
import { Readable } from 'node:stream'
import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import fp from 'fastify-plugin'
import { agentStates, modeNames } from '../src/sessions/vocabulary.ts'
import { idOf, problems } from './schemas.ts'

/** How soon a client comes again after its stream broke off, ms. */
const RETRY = 1000
/** A client that does not read what it is sent is let go then, ms: longer than a stream lasts. */
const LONGEST = 330_000

const example = `retry: ${RETRY}\n\nid: 815.42\ndata: {"session_id":"7d1b6c0e-6a3c-4a53-9f6e-0d8f2f6f4f11","user_id":"alice","at":"2026-01-01T10:00:01.000Z","type":"agent.joined","actor":"livekit","data":{}}\n\n`
const Stream = {
  description: 'Each message is one event: its `data` the JSON of `SessionEvent` with `session_id` and `user_id`, its `id` what Last-Event-ID takes. A comment each 15 s of silence.',
  content: { 'text/event-stream': { schema: Type.String({ description: 'Server-Sent Events' }), examples: { agent: { value: example } } } }
}
const LastEventId = Type.Object({ 'last-event-id': Type.Optional(Type.String({ description: 'The id of the last event that was received: the stream goes on after it', examples: ['815.42'] })) })

const number = (description: string) => Type.Integer({ minimum: 0, description, examples: [3] })
const numbers = <const Words extends readonly string[]>(words: Words, description: string) =>
  Type.Object(Object.fromEntries(words.map((word) => [word, Type.Integer({ minimum: 0 })])), { description })
const milliseconds = (description: string) => Type.Unsafe<number | null>({ type: ['integer', 'null'], minimum: 0, description, examples: [320] })
const Overview = Type.Object({
  live: numbers(modeNames, 'Sessions that have not ended, by mode'),
  agents: numbers(agentStates, 'The same, by the state of their agent'),
  started: number('Sessions started in the last hour'),
  start_failed: number('How many of them could not be started'),
  agent_failed: number('For how many of them no agent could be had'),
  ended: number('Sessions that ended in the last hour'),
  agent_ms: Type.Object({ median: milliseconds('The middle one'), p95: milliseconds('95 of 100 are as fast') }, { description: 'From the start until the agent was there, where the first one sent for came' })
}, {
  title: 'Overview',
  description: 'The sessions in numbers',
  examples: [{ live: { voice: 3, video: 0 }, agents: { none: 0, dispatched: 1, joined: 2, left: 0, failed: 0 }, started: 12, start_failed: 0, agent_failed: 0, ended: 9, agent_ms: { median: 320, p95: 350 } }]
})

const events: FastifyPluginAsyncTypebox = async (app) => {
  app.addHook('onRequest', app.authenticate)

  app.get('/sessions/:id/events', {
    config: { endless: true },
    schema: {
      operationId: 'streamSessionEvents',
      tags: ['sessions'],
      summary: 'Follow a session as it happens',
      description: 'One\'s own; administrators follow any. From its beginning, or after Last-Event-ID; ends with the session, and every 5 minutes, to be opened again with a token that is still good. 204: the session is over and all of it has been told.',
      params: Type.Object({ id: idOf('The session') }),
      headers: LastEventId,
      response: { 200: Stream, 204: Type.Null({ description: 'There is nothing to come' }), ...problems(400, 401, 403, 404, 429, 500, 503) }
    }
  }, async (request, reply) => send(reply, await app.streams.ofSession(request, untilClosed(reply), request.params.id, request.headers['last-event-id'])))

  app.get('/events', {
    config: { endless: true },
    schema: {
      operationId: 'streamEvents',
      tags: ['sessions'],
      summary: 'Follow all sessions as they happen',
      description: 'For administrators; on record. From now on, or after Last-Event-ID. Ends every 5 minutes, to be opened again.',
      headers: LastEventId,
      response: { 200: Stream, ...problems(400, 401, 403, 429, 500, 503) }
    }
  }, async (request, reply) => send(reply, await app.streams.ofAll(request, untilClosed(reply), request.headers['last-event-id'])))

  app.get('/overview', {
    schema: {
      operationId: 'getOverview',
      tags: ['sessions'],
      summary: 'See the sessions in numbers',
      description: 'For administrators: what goes on, and what became of the sessions of the last hour. Up to 2 s old.',
      response: { 200: Overview, ...problems(401, 403, 429, 500, 503) }
    }
  }, async (request) => app.streams.overview(request))
}

/** Aborted when nobody is there to be told any more. */
function untilClosed (reply: FastifyReply): AbortSignal {
  const controller = new AbortController()
  if (reply.raw.destroyed) controller.abort() // while its token was looked at
  reply.raw.once('close', () => controller.abort())
  return controller.signal
}

/** What has a place is an event; undefined is a sign of life. */
type Events = AsyncIterable<{ place: string } | undefined>

function send (reply: FastifyReply, stream: Events | undefined) {
  if (!stream) return reply.code(204).send()
  // HEAD: the head of the stream, and no stream.
  const messages = reply.request.method === 'HEAD' ? Readable.from([]) : Readable.from(toMessages(stream), { objectMode: false })
  const patience = setTimeout(() => messages.destroy(), LONGEST).unref()
  reply.raw.once('close', () => clearTimeout(patience))
  return reply.type('text/event-stream; charset=utf-8')
    .header('x-accel-buffering', 'no') // nginx would keep it back until a buffer is full
    .header('connection', 'close') // a stream that ends because its process stops must not leave a connection to wait for
    .send(messages)
}

async function * toMessages (stream: Events) {
  yield `retry: ${RETRY}\n\n`
  for await (const event of stream) {
    if (!event) {
      yield ':\n\n'
      continue
    }
    const { place, ...data } = event
    yield `id: ${place}\ndata: ${JSON.stringify(data)}\n\n`
  }
}

export default fp(events, { name: 'events', encapsulate: true, dependencies: ['errors', 'auth'], decorators: { fastify: ['streams', 'authenticate'] } })
