// The API document: complete, and the committed one is that of the routes.
import { readFile } from 'node:fs/promises'
import t from 'tap'
import { asText, openapiFile } from '../dev/api/openapi.ts'
import { appFor, databaseFor, environment } from './helper.ts'

const app = await appFor(t, environment({ url: 'ws://127.0.0.1:7880', apiKey: 'none', apiSecret: '7f2c19d0b8e64a35910cd7e2f6a8b34c' }, await databaseFor(t)))
const document = (await app.inject('/api/docs/json')).json()
const operations = Object.entries<Record<string, any>>(document.paths).flatMap(([path, item]) => Object.entries<any>(item).map(([method, operation]) => ({ path, method, operation })))

t.test('openapi.json is current: npm run openapi', async (t) => {
  t.equal(asText(app.swagger()), await readFile(openapiFile, 'utf8'))
})

t.test('every operation has an id, a summary, a description, a tag and documented errors', async (t) => {
  t.equal(document.openapi, '3.1.0')
  t.ok(operations.length >= 4)
  const ids = operations.map(({ operation }) => operation.operationId)
  t.equal(new Set(ids).size, ids.length, 'ids are unique')
  for (const { path, method, operation } of operations) {
    const what = `${method} ${path}`
    t.match(operation, { operationId: /^[a-z][A-Za-z]+$/, summary: /\w/, description: /\w/, tags: [/\w/] }, what)
    if (operation.requestBody) t.match(operation.requestBody.content['application/json'], { schema: { $ref: /^#\/components\/schemas\/[A-Z]/ } }, `${what} body`)
    for (const status of ['401', '500']) t.ok(operation.responses[status], `${what} ${status}`)
    for (const [status, response] of Object.entries<any>(operation.responses)) {
      if (status === '204') t.notOk(response.content, `${what} ${status} has no body`)
      else if (response.content['text/event-stream']) t.match(response, { description: /\w/, content: { 'text/event-stream': { schema: { type: 'string' }, examples: /\w/ } } }, `${what} ${status}`)
      else if (Number(status) < 400) t.match(response, { description: /^(?!Default)/, content: { 'application/json': { schema: { $ref: /^#\/components\/schemas\/[A-Z]/ } } } }, `${what} ${status}`) && t.ok(response.content['application/json'].example ?? response.content['application/json'].examples, `${what} ${status} has an example`)
      else {
        t.match(response.content['application/problem+json'], { schema: { $ref: '#/components/schemas/Problem' } }, `${what} ${status} is a problem`)
        t.equal(response.content['application/problem+json'].examples.problem.value.status, Number(status))
      }
    }
  }
})

t.test('what the app\'s backend is told is in it, too', async (t) => {
  t.same(Object.keys(document.webhooks), ['session.started', 'session.ended', 'agent.joined', 'agent.failed', 'transcript.ready', 'recording.ready'])
  for (const [type, { post }] of Object.entries<any>(document.webhooks)) {
    t.match(post, { summary: /\w/, requestBody: { content: { 'application/json': { schema: { properties: { type: { enum: [type] }, data: { $ref: '#/components/schemas/Session' } } } } } } })
  }
  t.ok(document.components.schemas.Session)
})

t.test('bearer tokens are declared, and operators\' routes are not in it', async (t) => {
  t.same(document.security, [{ bearer: [] }])
  t.match(document.components.securitySchemes.bearer, { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' })
  t.notOk(Object.keys(document.paths).some((path) => path.endsWith('/')), 'no path ends with a slash')
  t.notOk(Object.keys(document.paths).some((path) => /livez|readyz|metrics|docs/.test(path)))
})

t.test('the page is there', async (t) => {
  const page = await app.inject('/api/docs/')
  t.equal(page.statusCode, 200)
  t.match(page.headers['content-type'], 'text/html')
})
