import t from 'tap'
import { buildEdge, problem } from '../helper-edge.ts'

const page = { origin: 'https://app.example.com' }
const preflight = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,idempotency-key' }
const CORS_ORIGINS = 'https://app.example.com, http://localhost:5173/'

t.test('pages of the configured origins may call, and see what they need', async (t) => {
  const { app, lines } = await buildEdge(t, { CORS_ORIGINS })
  const response = await app.inject({ method: 'OPTIONS', url: '/me', headers: { ...page, ...preflight } })
  t.equal(response.statusCode, 204)
  t.match(response.headers, {
    'access-control-allow-origin': 'https://app.example.com',
    'access-control-allow-methods': 'GET, HEAD, POST, PATCH, DELETE',
    'access-control-allow-headers': 'Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Request-Id',
    'access-control-max-age': '600',
    vary: 'Origin'
  })
  t.equal(response.headers['access-control-allow-credentials'], undefined)

  const refused = await app.inject({ url: '/me', headers: page })
  t.equal(refused.statusCode, 401, 'failures can be read, too')
  t.match(refused.headers, { 'access-control-allow-origin': 'https://app.example.com', 'access-control-expose-headers': 'Idempotent-Replayed, Retry-After, X-Request-Id', vary: 'Origin' })
  t.equal((await app.inject({ url: '/me', headers: { origin: 'http://localhost:5173' } })).headers['access-control-allow-origin'], 'http://localhost:5173', 'a slash at the end means nothing')
  t.equal(lines.length, 2)
})

t.test('pages of other origins may not', async (t) => {
  const { app } = await buildEdge(t, { CORS_ORIGINS })
  for (const origin of ['https://app.example.com.evil.com', 'http://app.example.com', 'https://app.example.com:444', 'null', '*', 'https://APP.example.com', '']) {
    for (const method of ['OPTIONS', 'GET'] as const) {
      const { headers } = await app.inject({ method, url: '/me', headers: { origin, ...preflight } })
      t.equal(headers['access-control-allow-origin'], undefined, `${method} ${origin}`)
    }
  }
})

t.test('an unknown path stays 404 and a wrong method 405 where CORS is on', async (t) => {
  const { app } = await buildEdge(t, { CORS_ORIGINS })
  const nothing = await app.inject({ url: '/nothing', headers: page })
  t.strictSame(nothing.json(), problem(nothing, 404, 'Not Found', 'not-found', 'There is nothing at this address.'))
  const wrong = await app.inject({ method: 'POST', url: '/me', headers: page })
  t.equal(wrong.statusCode, 405)
  t.equal(wrong.headers.allow, 'GET, HEAD')
  t.equal((await app.inject({ method: 'OPTIONS', url: '/me' })).statusCode, 204, 'an OPTIONS that is no preflight is no error')
})

t.test('without origins there is no CORS', async (t) => {
  const { app } = await buildEdge(t)
  const { headers } = await app.inject({ url: '/me', headers: page })
  t.strictSame(Object.keys(headers).filter((name) => name.startsWith('access-control')), [])
  const response = await app.inject({ method: 'OPTIONS', url: '/me', headers: { ...page, ...preflight } })
  t.equal(response.statusCode, 405)
})
