import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { bearer, buildEdge, claims, hs256, listenEdge, problem, talk } from '../helper-edge.ts'

const tooMany = 'Too many requests. Wait before the next one.'

async function build (t: Test, extra: Record<string, string> = {}) {
  const { app, lines } = await buildEdge(t, { RATE_LIMIT_PER_MINUTE: '3', ...extra }, (app: FastifyInstance) => {
    app.get('/open', async () => 'open')
    app.get('/exempt', { config: { rateLimit: false } }, async () => 'exempt')
  })
  const get = (url: string, headers: Record<string, string> = {}) => app.inject({ url, headers })
  return { app, lines, get }
}

const as = (sub: string) => bearer(hs256(claims({ sub })))

t.test('a user has so many requests a minute, from wherever they come', async (t) => {
  const { lines, get } = await build(t, { TRUST_PROXY: '127.0.0.1' })
  const remaining = []
  for (const address of ['203.0.113.1', '203.0.113.2', '203.0.113.3']) {
    const response = await get('/me', { ...as('mia'), 'x-forwarded-for': address })
    t.equal(response.statusCode, 200)
    remaining.push(response.headers['ratelimit-remaining'])
  }
  t.strictSame(remaining, ['2', '1', '0'])

  lines.length = 0
  const response = await get('/me', { ...as('mia'), 'x-forwarded-for': '203.0.113.4' })
  const wait = response.json().retry_after
  t.ok(Number.isInteger(wait) && wait >= 1 && wait <= 60)
  t.equal(response.statusCode, 429)
  t.strictSame(response.json(), problem(response, 429, 'Too Many Requests', 'rate-limited', tooMany, { retry_after: wait, limit: 3 }))
  t.match(response.headers, { 'retry-after': String(wait), 'ratelimit-limit': '3', 'ratelimit-remaining': '0', 'ratelimit-reset': String(wait), 'content-type': 'application/problem+json' })
  t.match(lines, [{ level: 30, msg: 'request refused', status: 429, code: 'RATE_LIMITED', userId: 'mia', operation: 'getMe' }])
  t.equal(lines.length, 1)

  t.equal((await get('/me', as('noa'))).statusCode, 200, 'another user of the same address')
})

t.test('whoever calls too often waits for the refusal, and nobody else waits', async (t) => {
  const { get } = await build(t)
  for (let n = 0; n < 3; n++) await get('/me', as('mia'))
  const answered: string[] = []
  const call = async (user: string) => { answered.push(`${user} ${(await get('/me', as(user))).statusCode}`) }
  await Promise.all([call('mia'), call('mia'), call('noa').then(() => call('noa'))])
  t.strictSame(answered, ['noa 200', 'noa 200', 'mia 429', 'mia 429'])
})

t.test('somebody unknown counts by address', async (t) => {
  const { get } = await build(t, { TRUST_PROXY: '127.0.0.1' })
  const from = async (address: string) => (await get('/open', { 'x-forwarded-for': address })).statusCode
  const one = []
  for (let round = 0; round < 4; round++) one.push(await from('203.0.113.1'))
  t.strictSame(one, [200, 200, 200, 429])
  t.equal(await from('203.0.113.2'), 200)

  const six = []
  for (let round = 0; round < 4; round++) six.push(await from(`2001:db8:1:2:${round}::${round}`))
  t.strictSame(six, [200, 200, 200, 429], 'one /64 is one client')
  t.equal(await from('2001:db8:1:3::1'), 200)
  t.equal(await from('::ffff:203.0.113.1'), 429, 'IPv4 written as IPv6 is the same client')
})

t.test('without a trusted proxy nobody chooses an address', async (t) => {
  const { get } = await build(t)
  const statuses = []
  for (let round = 0; round < 4; round++) statuses.push((await get('/open', { 'x-forwarded-for': `203.0.113.${round}`, forwarded: `for=203.0.113.${round}`, 'x-real-ip': `203.0.113.${round}` })).statusCode)
  t.strictSame(statuses, [200, 200, 200, 429])
})

t.test('a token that nobody verified is no user to count by', async (t) => {
  const { get } = await build(t)
  const statuses = []
  for (let round = 0; round < 4; round++) statuses.push((await get('/open', as(`user-${round}`))).statusCode)
  t.strictSame(statuses, [200, 200, 200, 429])
})

t.test('the minute ends', async (t) => {
  const real = Date.now
  t.teardown(() => { Date.now = real })
  const { get } = await build(t)
  for (let round = 0; round < 4; round++) await get('/open')
  t.equal((await get('/open')).statusCode, 429)
  Date.now = () => real() + 61_000
  t.equal((await get('/open')).statusCode, 200)
})

t.test('routes can be exempt, and 0 exempts all', async (t) => {
  const { get } = await build(t)
  for (let round = 0; round < 10; round++) t.equal((await get('/exempt')).statusCode, 200)

  const unlimited = await build(t, { RATE_LIMIT_PER_MINUTE: '0' })
  for (let round = 0; round < 10; round++) {
    const response = await unlimited.get('/open')
    t.equal(response.statusCode, 200)
    t.equal(response.headers['ratelimit-limit'], undefined)
    t.equal((await unlimited.get('/me')).statusCode, 401, 'nor do failures count')
  }
})

t.test('a flood of addresses takes bounded memory', async (t) => {
  const { get } = await build(t, { TRUST_PROXY: '127.0.0.1', LOG_LEVEL: 'silent' })
  const flood = async (from: number, count: number) => {
    for (let at = from; at < from + count; at++) await get('/open', { 'x-forwarded-for': `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}` })
  }
  for (let round = 0; round < 4; round++) await get('/open', { 'x-forwarded-for': '203.0.113.1' })
  await flood(0, 9_000)
  t.equal((await get('/open', { 'x-forwarded-for': '203.0.113.1' })).statusCode, 429, '10,000 are remembered')
  await flood(9_000, 11_000)
  t.equal((await get('/open', { 'x-forwarded-for': '203.0.113.1' })).statusCode, 200, 'and no more')
})

t.test('what is refused without a route counts by address, too', async (t) => {
  const { get, lines } = await build(t, { TRUST_PROXY: '127.0.0.1' })
  const from = async (url: string, address: string) => (await get(url, { 'x-forwarded-for': address })).statusCode
  const said = []
  for (const url of ['/nothing', '/wp-login.php', '/echo', '/nothing', '/me']) said.push(await from(url, '203.0.113.1'))
  t.strictSame(said, [404, 404, 405, 429, 429], 'unknown paths, wrong methods and missing tokens share one count')
  t.equal(await from('/nothing', '203.0.113.2'), 404)
  t.equal(await from('/open', '203.0.113.1'), 200, 'what is asked for rightly is counted by itself')
  t.strictSame(lines.map(({ code }) => code), ['NOT_FOUND', 'NOT_FOUND', 'METHOD_NOT_ALLOWED', 'RATE_LIMITED', 'RATE_LIMITED', 'NOT_FOUND'])
})

t.test('what Node refuses by itself counts by address and in the histogram; too much of it is not answered', async (t) => {
  const { app, lines } = await listenEdge(t, { RATE_LIMIT_PER_MINUTE: '3' })
  const answers = []
  for (let n = 0; n < 5; n++) answers.push((await talk(app, 'NONSENSE\r\n\r\n'))[0]?.statusCode)
  t.strictSame(answers, [400, 400, 400, undefined, undefined])
  t.equal(lines.length, 3)
  t.match(await app.metrics.metrics(), /http_request_duration_seconds_count\{operation="none",method="other",status="4xx"\} 5\n/)
})
