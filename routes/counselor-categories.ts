// Counsellor categories over HTTP: users see what they can choose from, administrators everything.
import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { at, idOf, problems, Strict } from './schemas.ts'

const name = Type.String({ minLength: 1, maxLength: 100, description: 'What users choose from', examples: ['Study stress'] })
const description = Type.String({ maxLength: 1000, description: 'What it is about, in a sentence or two', examples: ['When exams, deadlines or expectations get too much.'] })
const systemPrompt = Type.Unsafe<string | null>({ type: ['string', 'null'], maxLength: 10_000, description: 'What the agent is told; null = the default prompt', examples: ['You help students to plan their week.'] })
const enabled = Type.Boolean({ description: 'Whether sessions can be started with it' })
const id = idOf('The category')

const example = { id: '7d1b6c0e-6a3c-4a53-9f6e-0d8f2f6f4f11', name: 'Study stress', description: 'When exams, deadlines or expectations get too much.' }
const full = { ...example, system_prompt: null, enabled: true, created_at: '2026-01-01T10:00:00.000Z', updated_at: '2026-01-01T10:00:00.000Z' }
const Category = Type.Object({ id, name, description, system_prompt: systemPrompt, enabled, created_at: at('When it was made'), updated_at: at('When it was changed last') }, { title: 'CounselorCategory', description: 'A category with its prompt', examples: [full] })
const List = Type.Object({
  categories: Type.Array(Type.Object({
    id,
    name,
    description,
    system_prompt: Type.Optional(systemPrompt),
    enabled: Type.Optional(enabled)
  }, { title: 'CounselorCategoryEntry' }))
}, { title: 'CounselorCategories', description: 'Categories by name; prompts only for administrators who ask for all', examples: [{ categories: [example] }] })
const tags = ['counselor-categories']
const Id = Type.Object({ id })

const counselorCategories: FastifyPluginAsyncTypebox = async (app) => {
  app.addHook('onRequest', app.authenticate)

  app.get('', {
    schema: {
      operationId: 'listCounselorCategories',
      tags,
      summary: 'List counsellor categories',
      description: 'The enabled ones. Administrators may ask for all, with prompts.',
      querystring: Strict({ all: Type.Optional(Type.Unsafe<'true'>({ type: 'string', enum: ['true'], description: 'Disabled ones too, with prompts; for administrators', examples: ['true'] })) }),
      response: { 200: List, ...problems(400, 401, 403, 429, 500, 503) }
    }
  }, async (request) => app.categories.list(request, request.query.all === 'true'))

  app.get('/:id', {
    schema: {
      operationId: 'getCounselorCategory',
      tags,
      summary: 'See a counsellor category with its prompt',
      description: 'For administrators.',
      params: Id,
      response: { 200: Category, ...problems(400, 401, 403, 404, 429, 500, 503) }
    }
  }, async (request) => app.categories.get(request, request.params.id))

  app.post('', {
    schema: {
      operationId: 'createCounselorCategory',
      tags,
      summary: 'Make a counsellor category',
      description: 'For administrators; on record.',
      body: Strict({ name, description: Type.Optional(description), system_prompt: Type.Optional(systemPrompt), enabled: Type.Optional(enabled) }, { title: 'NewCounselorCategory', examples: [{ name: example.name, description: example.description }] }),
      response: { 201: Category, ...problems(400, 401, 403, 413, 415, 429, 500, 503) }
    }
  }, async (request, reply) => {
    reply.code(201)
    return app.categories.create(request, request.body)
  })

  app.patch('/:id', {
    schema: {
      operationId: 'changeCounselorCategory',
      tags,
      summary: 'Change, enable or disable a counsellor category',
      description: 'For administrators; on record. What is not given stays; of two changes at once the last one wins.',
      params: Id,
      body: Strict({ name: Type.Optional(name), description: Type.Optional(description), system_prompt: Type.Optional(systemPrompt), enabled: Type.Optional(enabled) }, { title: 'CounselorCategoryChange', minProperties: 1, examples: [{ enabled: false }] }),
      response: { 200: Category, ...problems(400, 401, 403, 404, 413, 415, 429, 500, 503) }
    }
  }, async (request) => app.categories.change(request, request.params.id, request.body))
}

export default fp(counselorCategories, { name: 'counselor-categories', encapsulate: true, dependencies: ['errors', 'auth'], decorators: { fastify: ['categories', 'authenticate'] } })
