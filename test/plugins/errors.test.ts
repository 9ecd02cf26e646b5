import createError from '@fastify/error'
import fc from 'fast-check'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { serializeError } from '../../plugins/http/logger.ts'
import { bearer, buildEdge, claims, hs256, problem, type Line } from '../helper-edge.ts'

const somethingWrong = 'Something went wrong on our side. Try again.'

/** An app with one more route that throws what the test says. */
async function buildThrowing (t: Test, thrown: () => unknown) {
  return buildEdge(t, { RATE_LIMIT_PER_MINUTE: '0' }, (app: FastifyInstance) => {
    app.get('/throw/:room_name', { onRequest: app.authenticate, schema: { operationId: 'throwIt' } as object }, async () => { throw thrown() })
  })
}

const signedIn = () => bearer(hs256(claims()))
const failures = (lines: Line[]) => lines.filter(({ msg }) => msg.startsWith('request '))

t.test('a coded error below 500 speaks its own words, with members and headers', async (t) => {
  const Busy = createError('ROOM_IS_BUSY', 'The room is busy.', 409)
  const { app, lines } = await buildThrowing(t, () => Object.assign(new Busy(), { members: { retry_after: 3, limit: 5 }, headers: { 'retry-after': '3' }, context: { slot: 4 } }))
  const response = await app.inject({ url: '/throw/room-1', headers: signedIn() })

  t.equal(response.statusCode, 409)
  t.strictSame(response.json(), problem(response, 409, 'Conflict', 'room-is-busy', 'The room is busy.', { retry_after: 3, limit: 5 }))
  t.match(response.headers, { 'content-type': /^application\/problem\+json$/, 'retry-after': '3', 'cache-control': 'no-store' })
  t.equal(lines.length, 1)
  t.match(lines[0], { level: 30, msg: 'request refused', reqId: response.headers['x-request-id'], operation: 'throwIt', userId: 'user-1', roomName: 'room-1', status: 409, code: 'ROOM_IS_BUSY', slot: 4 })
  t.notMatch(lines[0], { err: {} }, 'no stack below 500')
})

t.test('an error of 500 and above says nothing of its cause, but the log does', async (t) => {
  const LiveKitFailed = createError('LIVEKIT_FAILED', 'LiveKit at 10.0.0.7 said no', 500)
  const cause = new Error('connect failed', { cause: Object.assign(new Error('connect ECONNREFUSED 10.0.0.7:7880'), { code: 'ECONNREFUSED' }) })
  const { app, lines } = await buildThrowing(t, () => Object.assign(new LiveKitFailed({ cause }), { context: { call: 'CreateRoom' } }))
  const response = await app.inject({ url: '/throw/room-1', headers: signedIn() })

  t.equal(response.statusCode, 500)
  t.strictSame(response.json(), problem(response, 500, 'Internal Server Error', 'internal-server-error', somethingWrong))
  t.equal(lines.length, 1)
  t.match(lines[0], {
    level: 50,
    msg: 'request failed',
    reqId: response.headers['x-request-id'],
    operation: 'throwIt',
    userId: 'user-1',
    roomName: 'room-1',
    status: 500,
    call: 'CreateRoom',
    err: {
      type: 'FastifyError',
      code: 'LIVEKIT_FAILED',
      message: 'LiveKit at 10.0.0.7 said no',
      stack: /errors\.test\.ts/,
      cause: { type: 'Error', message: 'connect failed', cause: { code: 'ECONNREFUSED', message: 'connect ECONNREFUSED 10.0.0.7:7880' } }
    }
  })
})

t.test('503 keeps what tells the client when to come back', async (t) => {
  const Closed = createError('BREAKER_OPEN', 'The breaker of LiveKit is open', 503)
  const { app } = await buildThrowing(t, () => Object.assign(new Closed(), { members: { retry_after: 1 }, headers: { 'retry-after': '1' } }))
  const response = await app.inject({ url: '/throw/room-1', headers: signedIn() })

  t.equal(response.statusCode, 503)
  t.equal(response.headers['retry-after'], '1')
  t.strictSame(response.json(), problem(response, 503, 'Service Unavailable', 'service-unavailable', 'The service is not available right now. Try again later.', { retry_after: 1 }))
})

t.test('errors of others never speak, whatever their status', async (t) => {
  const foreign = [
    [Object.assign(new Error('no such file /etc/secret'), { statusCode: 404 }), 404, 'Not Found', 'not-found', 'There is nothing at this address.'],
    [Object.assign(new Error('/etc/secret'), { statusCode: 418 }), 418, "I'm a Teapot", 'i-m-a-teapot', 'The request was refused.'],
    [Object.assign(new Error('/etc/secret'), { statusCode: 502, members: { secret: '/etc/secret' } }), 502, 'Bad Gateway', 'bad-gateway', somethingWrong],
    [Object.assign(new Error('/etc/secret'), { status: 404 }), 500, 'Internal Server Error', 'internal-server-error', somethingWrong],
    [Object.assign(new Error('/etc/secret'), { statusCode: 200 }), 500, 'Internal Server Error', 'internal-server-error', somethingWrong],
    [new (createError('FST_ERR_ODD', '/etc/secret', 400))(), 400, 'Bad Request', 'bad-request', 'The request is not valid.']
  ] as const
  for (const [error, status, title, code, detail] of foreign) {
    const { app, lines } = await buildThrowing(t, () => error)
    const response = await app.inject({ url: '/throw/room-1', headers: signedIn() })
    t.equal(response.statusCode, status)
    t.strictSame(response.json(), problem(response, status, title, code, detail))
    t.equal(lines.length, 1)
  }
})

t.test('whatever is thrown becomes one problem document and one log line', async (t) => {
  let thrown: unknown
  const { app, lines } = await buildThrowing(t, () => thrown)
  const trap = new Proxy({}, { get () { throw new Error('trap') }, getPrototypeOf () { throw new Error('trap') } })
  const circular: Error & { cause?: unknown } = new Error('circular')
  circular.cause = circular
  const anything = fc.oneof(
    fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withNullPrototype: true, withTypedArray: true, withSparseArray: true }),
    fc.constantFrom(null, undefined, '', 'text', 0, Symbol('odd'), () => {}, circular, Object.freeze(new Error('frozen')), new AggregateError([new Error('one'), 2], 'many')),
    fc.record({ statusCode: fc.oneof(fc.integer(), fc.double(), fc.string()), code: fc.anything(), message: fc.anything(), validation: fc.anything() })
  )

  async function check (value: unknown) {
    thrown = value
    lines.length = 0
    const response = await app.inject({ url: '/throw/room-1', headers: signedIn() })
    const body = response.json()
    return response.statusCode >= 400 && body.status === response.statusCode && body.instance.endsWith(String(response.headers['x-request-id'])) &&
      response.headers['content-type'] === 'application/problem+json' && failures(lines).length === 1 && lines.length === 1
  }
  await fc.assert(fc.asyncProperty(anything, check), { numRuns: 300 })
  t.ok(await check(trap), 'even what cannot be looked at')

  let links = 0
  for (let one = serializeError(circular); one.cause; one = one.cause as typeof one) links += 1
  t.equal(links, 5, 'a chain of causes is followed so far only')
})

t.test('a log line holds no foreign fields and no token of an error', async (t) => {
  const token = hs256(claims())
  const error = Object.assign(new Error(`invalid token: ${token}`, { cause: new Error(`at ${token}`) }), { detail: 'Key (idempotency_key)=(key-123) already exists', config: { headers: { authorization: token } } })
  const { app, lines } = await buildThrowing(t, () => error)
  await app.inject({ url: '/throw/room-1', headers: signedIn() })

  t.equal(lines.length, 1)
  t.equal((lines[0]!.err as Error).message, 'invalid token: [token]')
  const text = JSON.stringify(lines)
  for (const part of token.split('.')) t.notOk(text.includes(part), 'no part of the token')
  t.notOk(text.includes('key-123'))
})

t.test('a request of the wrong form is told what is wrong, field by field', async (t) => {
  const { app, lines } = await buildEdge(t)
  const detail = 'The request does not have the form that is asked for.'
  const cases = [
    [{ agent_type: 'boxing' }, '', [{ in: 'body', path: '/agent_type', message: 'must be "workout" or "general"' }]],
    [{ count: '1' }, '', [{ in: 'body', path: '/count', message: 'must be integer' }]],
    [{ loud: 'true' }, '', [{ in: 'body', path: '/loud', message: 'must be boolean' }]],
    [{ unknown_thing: 1 }, '', [{ in: 'body', path: '', message: 'must NOT have additional properties' }]],
    [{}, '?page=x', [{ in: 'querystring', path: '/page', message: 'must match pattern "^\\d{1,3}$"' }]],
    [{}, '?page=1&page=2', [{ in: 'querystring', path: '/page', message: 'must be string' }]],
    [{}, '?other=1', [{ in: 'querystring', path: '', message: 'must NOT have additional properties' }]]
  ] as const
  for (const [payload, query, errors] of cases) {
    lines.length = 0
    const response = await app.inject({ method: 'POST', url: `/strict${query}`, payload })
    t.equal(response.statusCode, 400)
    t.strictSame(response.json(), problem(response, 400, 'Bad Request', 'validation-failed', detail, { errors }))
    t.match(lines, [{ level: 30, msg: 'request refused', status: 400, code: 'VALIDATION_FAILED', errors }])
    t.equal(lines.length, 1)
  }
  const response = await app.inject({ method: 'POST', url: '/strict', payload: {} })
  t.strictSame(response.json(), { agent_type: 'general' }, 'defaults are filled in')
})

t.test('no answer and no log line repeats what a client sent', async (t) => {
  const { app, lines } = await buildEdge(t, { RATE_LIMIT_PER_MINUTE: '0' })
  const marker = fc.string({ minLength: 8, maxLength: 40, unit: fc.constantFrom(...'QWXZ<>&$') })
  await fc.assert(fc.asyncProperty(marker, marker, async (name, value) => {
    lines.length = 0
    const path = encodeURIComponent(name)
    const answers = [
      await app.inject({ method: 'POST', url: '/strict', payload: { [name]: value } }),
      await app.inject({ method: 'POST', url: '/strict', payload: { agent_type: value } }),
      await app.inject({ method: 'POST', url: `/strict?${path}=1`, payload: {} }),
      await app.inject({ method: 'POST', url: '/echo', headers: { 'content-type': `text/${value}` }, payload: value }),
      await app.inject({ method: 'POST', url: '/echo', headers: { 'content-type': 'application/json' }, payload: value }),
      await app.inject({ method: 'DELETE', url: `/${path}` }),
      await app.inject({ url: `/me/${path}/%ZZ` })
    ]
    const texts = [...answers.map((one) => one.body + JSON.stringify(one.headers)), JSON.stringify(lines)]
    return answers.every(({ statusCode }) => statusCode >= 400 && statusCode < 500) && lines.length === answers.length &&
      texts.every((text) => [name, value, path].every((sent) => !text.includes(sent) && !text.includes(JSON.stringify(sent).slice(1, -1))))
  }), { numRuns: 50 })
  t.pass()
})

t.test('an unknown path is 404, a wrong method is 405 and says what is allowed', async (t) => {
  const { app, lines } = await buildEdge(t, {}, (app) => {
    app.options('*', async () => 'a catch-all, as CORS registers one')
    app.get('/files/*', async () => 'file')
    app.get('/rooms/active', async () => [])
  })
  const cases = [
    ['GET', '/', 404], ['GET', '/meh', 404], ['GET', '/me/', 404], ['POST', '/rooms//x', 404], ['PROPFIND', '/nothing', 404], ['GET', '/ME', 404], ['PUT', '/rooms/', 404],
    ['POST', '/me', 'GET, HEAD'], ['POST', '/m%65?x=/nothing', 'GET, HEAD'], ['TRACE', '/me', 'GET, HEAD'], ['PROPFIND', '/me', 'GET, HEAD'], ['QUERY', '/me', 'GET, HEAD'], ['GET', '/echo', 'POST'], ['HEAD', '/echo', 'POST'],
    ['PUT', '/rooms/room-1', 'DELETE, GET, HEAD'], ['PUT', '/rooms/%72oom', 'DELETE, GET, HEAD'], ['PUT', '/rooms/active', 'DELETE, GET, HEAD'],
    ['POST', '/files/a/b?c=d', 'GET, HEAD']
  ] as const
  for (const [method, url, expected] of cases) {
    lines.length = 0
    const response = await app.inject({ method: method as 'GET', url, headers: { 'content-type': 'application/json' } })
    const body = expected === 404
      ? problem(response, 404, 'Not Found', 'not-found', 'There is nothing at this address.')
      : problem(response, 405, 'Method Not Allowed', 'method-not-allowed', 'This address does not support this method.')
    t.strictSame(method === 'HEAD' ? body : response.json(), body, `${method} ${url}`)
    t.equal(response.statusCode, body.status)
    t.equal(response.headers.allow, expected === 404 ? undefined : expected)
    t.match(lines, [{ level: 30, msg: 'request refused', status: response.statusCode }])
    t.equal(lines.length, 1)
  }
})

t.test('HEAD works where GET does, on failures as well', async (t) => {
  const { app } = await buildEdge(t)
  const ok = await app.inject({ method: 'HEAD', url: '/deadline' })
  t.equal(ok.statusCode, 200)
  const refused = await app.inject({ method: 'HEAD', url: '/me' })
  t.equal(refused.statusCode, 401)
  t.equal(refused.headers['content-type'], 'application/problem+json')
})

t.test('the schema of problem documents is there for routes to refer to', async (t) => {
  const { app } = await buildEdge(t)
  t.match(app.getSchema('Problem'), { $id: 'Problem', type: 'object', required: ['type', 'title', 'status', 'detail', 'instance'] })
})
