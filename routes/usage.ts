// What was used, by user and day, over HTTP: one's own, and for administrators everybody's; as JSON or as CSV.
import accepts from '@fastify/accepts'
import createError from '@fastify/error'
import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { costOfUsage, problems, Strict, usageExample, usageProperties, userIdPattern } from './schemas.ts'

const NotAcceptable = createError('NOT_ACCEPTABLE', 'It can be had as application/json and text/csv.', 406)

const day = (description: string, example: string) => Type.String({ format: 'date', pattern: '^[1-9]', description, examples: [example] })
const entry = { day: '2026-01-01', user_id: 'alice', sessions: 2, ...usageExample, cost: null }
const Page = Type.Object({
  usage: Type.Array(Type.Object({
    day: day('The day (UTC) on which the sessions were started', '2026-01-01'),
    user_id: Type.String({ description: 'Whose they are' }),
    sessions: Type.Integer({ minimum: 0, description: 'How many of them are over' }),
    ...usageProperties,
    cost: costOfUsage
  }, { title: 'UsageDay' })),
  next_cursor: Type.Unsafe<string | null>({ type: ['string', 'null'], description: 'Where the next page begins; null on the last one' })
}, { title: 'UsagePage', description: 'By day, then user' })
const columns = ['day', 'user_id', 'sessions', ...Object.keys(usageProperties), 'cost', 'currency']
const csvExample = `${columns.join(',')}\r\n2026-01-01,alice,2,${Object.values(usageExample).join(',')},,\r\n`
const Answer = {
  description: 'What was used, in the form that Accept asks for',
  headers: { Link: { description: 'Of CSV: where the next page is (rel="next"), unless it is the last one', schema: { type: 'string' } } },
  content: {
    'application/json': { schema: Page, examples: { usage: { value: { usage: [entry], next_cursor: null } } } },
    'text/csv': { schema: Type.String({ description: 'RFC 4180, with a header' }), examples: { usage: { value: csvExample } } }
  }
}
const Filter = Strict({
  from: Type.Optional(day('The first day; the first of this month when not given', '2026-01-01')),
  to: Type.Optional(day('The day after the last one', '2026-02-01')),
  user_id: Type.Optional(Type.String({ pattern: userIdPattern, description: 'Only of this user; for administrators, who otherwise see everybody\'s', examples: ['alice'] })),
  limit: Type.Optional(Type.String({ pattern: '^([1-9][0-9]{0,2}|1000)$', default: '100', description: 'Lines per page, 1 to 1000' })),
  cursor: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_-]{1,256}$', description: 'next_cursor of the page before' }))
})

const usage: FastifyPluginAsyncTypebox = async (app) => {
  await app.register(accepts)
  app.addHook('onRequest', app.authenticate)

  app.get('', {
    schema: {
      operationId: 'listUsage',
      tags: ['usage'],
      summary: 'List what was used, by day and user',
      description: 'The caller\'s own, oldest first; administrators see everybody\'s. A session counts on the day (UTC) on which it was started, some seconds after its end. As JSON or as CSV (`Accept: text/csv`).',
      querystring: Filter,
      response: { 200: Answer, ...problems(400, 401, 403, 406, 429, 500, 503) }
    }
  }, async (request, reply) => {
    const form = request.type(['application/json', 'text/csv'])
    reply.header('vary', 'accept')
    if (form === false) throw new NotAcceptable()
    const page = await app.usage.list(request, request.query)
    if (form === 'application/json') return page
    if (page.next_cursor) {
      const next = new URLSearchParams({ ...request.query, cursor: page.next_cursor })
      reply.header('link', `<${request.url.split('?')[0]}?${next.toString()}>; rel="next"`)
    }
    return reply.type('text/csv; charset=utf-8; header=present').send(toCsv(page.usage) as never)
  })
}

/** https://www.rfc-editor.org/rfc/rfc4180: no value here needs quotes, user ids have neither commas, quotes, brackets nor blanks. */
function toCsv (days: Array<Record<string, unknown> & { cost: { currency: string, amount: number } | null }>): string {
  const lines = days.map(({ cost, ...day }) => columns.map((column) => ({ ...day, cost: cost?.amount, currency: cost?.currency } as Record<string, unknown>)[column] ?? '').join(','))
  return [columns.join(','), ...lines, ''].join('\r\n')
}

export default fp(usage, { name: 'usage', encapsulate: true, dependencies: ['errors', 'auth'], decorators: { fastify: ['usage', 'authenticate'] } })
