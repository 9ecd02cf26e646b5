// The endpoints of outgoing webhooks over HTTP, for administrators: where the app's backend is told of sessions, and what became of each message.
import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { deliveryStates, messageTypes, type MessageType } from '../src/sessions/vocabulary.ts'
import { at, atOrNull, choice, idOf, problems, Strict } from './schemas.ts'

const id = idOf('The endpoint')
const url = Type.String({ minLength: 1, maxLength: 2000, description: 'Where messages are posted to: https://, a public address', examples: ['https://app.example.com/webhooks'] })
const events = Type.Unsafe<MessageType[]>({ type: 'array', items: { type: 'string', enum: messageTypes }, minItems: 1, uniqueItems: true, description: 'What it is told of', examples: [['session.started', 'session.ended']] })
const description = Type.String({ maxLength: 1000, description: 'What it is for', examples: ['Billing'] })
const enabled = Type.Boolean({ description: 'Whether it is told of anything; what was to be delivered before waits' })
const secret = Type.String({ description: 'Verifies the messages (Standard Webhooks); shown this once', examples: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'] })

const shown = { id, url, events, description, enabled, old_secret_until: atOrNull('Until when the secret before the last rotation signs as well'), created_at: at('When it was made'), updated_at: at('When it was changed last') }
const example = {
  id: '7d1b6c0e-6a3c-4a53-9f6e-0d8f2f6f4f11',
  url: 'https://app.example.com/webhooks',
  events: ['session.started', 'session.ended'],
  description: 'Billing',
  enabled: true,
  old_secret_until: null,
  created_at: '2026-01-01T10:00:00.000Z',
  updated_at: '2026-01-01T10:00:00.000Z'
}
const Endpoint = Type.Object(shown, { title: 'WebhookEndpoint', description: 'An endpoint', examples: [example] })
const WithSecret = Type.Object({ ...shown, secret }, { title: 'WebhookEndpointWithSecret', description: 'The endpoint with its secret, which is shown this once', examples: [{ ...example, secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' }] })
const List = Type.Object({ endpoints: Type.Array(Type.Object(shown, { title: 'WebhookEndpointEntry' })) }, { title: 'WebhookEndpoints', description: 'All endpoints, oldest first', examples: [{ endpoints: [example] }] })
const Deleted = Type.Object({ status: Type.Literal('deleted'), id }, { title: 'DeletedWebhookEndpoint', description: 'It is gone, and with it its messages', examples: [{ status: 'deleted', id: example.id }] })

const deliveryId = Type.String({ pattern: '^[1-9][0-9]{0,17}$', description: 'The delivery\'s id', examples: ['42'] })
const delivery = {
  id: '42',
  message_id: 'evt_1207',
  session_id: '7d1b6c0e-6a3c-4a53-9f6e-0d8f2f6f4f11',
  type: 'session.ended',
  at: '2026-01-01T10:12:30.000Z',
  state: 'dead',
  attempts: 13,
  attempted_at: '2026-01-02T10:12:31.000Z',
  next_attempt_at: null,
  status: 500,
  error: 'REFUSED'
}
const told = {
  id: deliveryId,
  message_id: Type.String({ description: 'The webhook-id of every attempt', examples: ['evt_1207'] }),
  session_id: idOf('The session'),
  type: choice(messageTypes, 'What it tells'),
  at: at('When that happened'),
  state: choice(deliveryStates, 'On its way, answered 2xx, or given up after a day'),
  attempts: Type.Integer({ minimum: 0 }),
  attempted_at: atOrNull('When it was tried last'),
  next_attempt_at: atOrNull('When it is tried next; null when it is over, or has not been tried yet'),
  status: Type.Unsafe<number | null>({ type: ['integer', 'null'], description: 'HTTP status of the last answer; null = there was none' }),
  error: Type.Unsafe<string | null>({ type: ['string', 'null'], description: 'Why the last attempt failed', examples: ['REFUSED', 'REDIRECTED', 'TIMED_OUT', 'ADDRESS_NOT_ALLOWED', 'ECONNREFUSED'] })
}
const Delivery = Type.Object(told, { title: 'WebhookDelivery', description: 'A message to the endpoint', examples: [delivery] })
const Deliveries = Type.Object({
  deliveries: Type.Array(Type.Object(told, { title: 'WebhookDeliveryEntry' })),
  next_cursor: Type.Unsafe<string | null>({ type: ['string', 'null'], description: 'Where the next page begins; null on the last one' })
}, { title: 'WebhookDeliveries', description: 'Messages to the endpoint, newest first', examples: [{ deliveries: [delivery], next_cursor: null }] })

const Filter = Strict({
  state: Type.Optional(choice(deliveryStates, 'Only in this state')),
  limit: Type.Optional(Type.String({ pattern: '^([1-9][0-9]?|100)$', default: '20', description: 'Deliveries per page, 1 to 100' })),
  cursor: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$', description: 'next_cursor of the page before' }))
})
const Id = Type.Object({ id })
const tags = ['webhook-endpoints']

const webhookEndpoints: FastifyPluginAsyncTypebox = async (app) => {
  app.addHook('onRequest', app.authenticate)

  app.get('', {
    schema: {
      operationId: 'listWebhookEndpoints',
      tags,
      summary: 'List the endpoints of outgoing webhooks',
      description: 'For administrators.',
      response: { 200: List, ...problems(401, 403, 429, 500, 503) }
    }
  }, async (request) => app.endpoints.list(request))

  app.post('', {
    schema: {
      operationId: 'createWebhookEndpoint',
      tags,
      summary: 'Have the app\'s backend told of sessions',
      description: 'For administrators; on record. From now on each change of a session that it wants to know of is posted to it, signed as Standard Webhooks says, at least once, those of a session in their order.',
      body: Strict({ url, events, description: Type.Optional(description), enabled: Type.Optional(enabled) }, { title: 'NewWebhookEndpoint', examples: [{ url: example.url, events: example.events }] }),
      response: { 201: WithSecret, ...problems(400, 401, 403, 413, 415, 422, 429, 500, 503) }
    }
  }, async (request, reply) => {
    reply.code(201)
    return app.endpoints.create(request, request.body)
  })

  app.get('/:id', {
    schema: {
      operationId: 'getWebhookEndpoint',
      tags,
      summary: 'See an endpoint',
      description: 'For administrators. Its secret is not shown.',
      params: Id,
      response: { 200: Endpoint, ...problems(400, 401, 403, 404, 429, 500, 503) }
    }
  }, async (request) => app.endpoints.get(request, request.params.id))

  app.patch('/:id', {
    schema: {
      operationId: 'changeWebhookEndpoint',
      tags,
      summary: 'Change, enable or disable an endpoint',
      description: 'For administrators; on record. What is not given stays. While it is disabled nothing is written for it, and what was written before waits.',
      params: Id,
      body: Strict({ url: Type.Optional(url), events: Type.Optional(events), description: Type.Optional(description), enabled: Type.Optional(enabled) }, { title: 'WebhookEndpointChange', minProperties: 1, examples: [{ enabled: false }] }),
      response: { 200: Endpoint, ...problems(400, 401, 403, 404, 413, 415, 422, 429, 500, 503) }
    }
  }, async (request) => app.endpoints.change(request, request.params.id, request.body))

  app.delete('/:id', {
    schema: {
      operationId: 'deleteWebhookEndpoint',
      tags,
      summary: 'Delete an endpoint with its messages',
      description: 'For administrators; on record. What has not been delivered never is.',
      params: Id,
      response: { 200: Deleted, ...problems(400, 401, 403, 404, 429, 500, 503) }
    }
  }, async (request) => app.endpoints.remove(request, request.params.id))

  app.post('/:id/rotate-secret', {
    schema: {
      operationId: 'rotateWebhookSecret',
      tags,
      summary: 'Give an endpoint a new secret',
      description: 'For administrators; on record. For a day messages are signed with both, so that the receiver can change over.',
      params: Id,
      response: { 200: WithSecret, ...problems(400, 401, 403, 404, 429, 500, 503) }
    }
  }, async (request) => app.endpoints.rotate(request, request.params.id))

  app.get('/:id/deliveries', {
    schema: {
      operationId: 'listWebhookDeliveries',
      tags,
      summary: 'See what became of the messages to an endpoint',
      description: 'For administrators. Newest first; `state=dead` lists what was given up.',
      params: Id,
      querystring: Filter,
      response: { 200: Deliveries, ...problems(400, 401, 403, 404, 429, 500, 503) }
    }
  }, async (request) => app.endpoints.deliveries(request, request.params.id, request.query))

  app.post('/:id/deliveries/:delivery_id/retry', {
    schema: {
      operationId: 'retryWebhookDelivery',
      tags,
      summary: 'Send a message again that was given up',
      description: 'For administrators; on record. It has another day.',
      params: Type.Object({ id, delivery_id: deliveryId }),
      response: { 200: Delivery, ...problems(400, 401, 403, 404, 409, 429, 500, 503) }
    }
  }, async (request) => app.endpoints.retry(request, request.params.id, request.params.delivery_id))
}

export default fp(webhookEndpoints, { name: 'webhook-endpoints', encapsulate: true, dependencies: ['errors', 'auth'], decorators: { fastify: ['endpoints', 'authenticate'] } })
