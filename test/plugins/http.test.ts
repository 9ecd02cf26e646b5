import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { bearer, buildEdge, claims, connect, hs256, listenEdge, problem, readResponses, talk } from '../helper-edge.ts'

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: a\r\n${more}Connection: close\r\n\r\n`
const staticHeaders = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'"
}

t.test('slow clients are bounded: 5 s for headers, 10 s for a request, looked at every second', async (t) => {
  const { app } = await buildEdge(t)
  t.equal(app.server.headersTimeout, 5000)
  t.equal(app.server.requestTimeout, 10_000)
  t.equal(app.initialConfig.bodyLimit, 16_384)
  t.equal((app.server as unknown as { connectionsCheckingInterval: number }).connectionsCheckingInterval, 1000)
})

t.test('a request has seven seconds from its arrival', async (t) => {
  const { app } = await buildEdge(t)
  const { left } = (await app.inject('/deadline')).json()
  t.ok(left > 6000 && left <= 7000, `${left} ms`)
})

t.test('every answer has the same security headers, errors before routing included', async (t) => {
  const { app } = await buildEdge(t)
  for (const url of ['/deadline', '/me', '/nothing', '/%ZZ']) {
    const { headers } = await app.inject(url)
    t.match(headers, staticHeaders, url)
    t.match(headers['x-request-id'], uuid)
  }
})

t.test('a request id is taken over when it is harmless, and replaced otherwise', async (t) => {
  const { app, lines } = await buildEdge(t)
  const char = fc.constantFrom(...'aZ09._-', ' ', ',', '{', '"', '\t')
  await fc.assert(fc.asyncProperty(fc.string({ unit: char, maxLength: 70 }), async (id) => {
    lines.length = 0
    const response = await app.inject({ url: '/nothing', headers: { 'x-request-id': id } })
    const answered = String(response.headers['x-request-id'])
    const harmless = /^[A-Za-z0-9._-]{1,64}$/.test(id)
    return (harmless ? answered === id : uuid.test(answered)) && lines[0]?.reqId === answered && response.json().instance === `urn:livekit-sessions:request:${answered}`
  }), { numRuns: 100 })
  t.pass()
})

t.test('one of a kind: two Host, Authorization, Content-Type, Content-Length or Idempotency-Key headers are refused', async (t) => {
  const { app, lines } = await listenEdge(t)
  for (const header of ['host', 'authorization', 'content-type', 'idempotency-key']) {
    lines.length = 0
    const [response, ...more] = await talk(app, `POST /echo HTTP/1.1\r\nHost: a\r\n${header === 'host' ? '' : `${header}: one\r\n`}${header.toUpperCase()}: two\r\n\r\n`)
    t.equal(more.length, 0)
    t.equal(response!.statusCode, 400)
    t.equal(response!.headers.connection, 'close')
    t.strictSame(response!.json(), problem(response!, 400, 'Bad Request', 'bad-headers', `The request has more than one ${header} header.`))
    t.match(lines, [{ level: 30, msg: 'request refused', code: 'BAD_HEADERS' }])
    t.equal(lines.length, 1)
  }
  const [response] = await talk(app, 'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n')
  t.strictSame(response!.json(), problem(response!, 400, 'Bad Request', 'bad-request', 'The request is not valid.'))
})

t.test('HTTP/1.1 needs one well-formed Host, HTTP/1.0 needs none', async (t) => {
  const { app } = await listenEdge(t)
  for (const host of ['', 'Host: a b\r\n', 'Host: a/b\r\n', 'Host: a@b\r\n', 'Host: "a"\r\n']) {
    const [response] = await talk(app, `GET /deadline HTTP/1.1\r\n${host}\r\n`)
    t.strictSame(response!.json(), problem(response!, 400, 'Bad Request', 'bad-headers', 'The request needs a valid host header.'), host)
  }
  // RFC 9112 section 6.1: such a message is framed wrong, whatever follows.
  const [framed, ...more] = await talk(app, 'POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /deadline HTTP/1.0\r\n\r\n')
  t.equal(framed!.statusCode, 400)
  t.match(framed!.headers.connection, 'close')
  t.same(more, [])
  for (const request of ['GET /deadline HTTP/1.0\r\n\r\n', get('/deadline').replace('Host: a', 'Host:'), get('/deadline').replace('Host: a', 'Host: [::1]:3000')]) {
    const [response] = await talk(app, request)
    t.equal(response!.statusCode, 200, request)
  }
})

t.test('the one expectation that is met is 100-continue', async (t) => {
  const { app, lines } = await listenEdge(t)
  const [refused] = await talk(app, get('/deadline', 'Expect: 200-ok\r\n'))
  t.equal(refused!.statusCode, 417)
  t.strictSame(refused!.json(), problem(refused!, 417, 'Expectation Failed', 'expectation-failed', 'The only expectation that is understood is 100-continue.'))
  t.match(lines, [{ code: 'EXPECTATION_FAILED' }])
  t.equal(lines.length, 1)

  const [met] = await talk(app, 'POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n', '{}')
  t.strictSame(met!.json(), { body: {} })
})

t.test('CONNECT, TRACE, upgrades, HTTP/2 and HTTP/0.9 get an answer and close', async (t) => {
  const { app, lines } = await listenEdge(t)
  const cases = [
    ['CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\nsecond', 405],
    [get('/me').replace('GET', 'TRACE'), 405],
    [get('/nothing').replace('GET', 'TRACE'), 404],
    [get('/deadline', 'Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n').replace('Connection: close', 'Connection: close, Upgrade'), 200],
    [get('/deadline', 'Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n'), 200],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['GET /deadline\r\n\r\n', 400],
    ['GET /deadline HTTP/3.7\r\nHost: a\r\n\r\n', 400],
    ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
    [get('*').replace('GET', 'OPTIONS'), 404]
  ] as const
  for (const [bytes, status] of cases) {
    lines.length = 0
    const responses = await talk(app, Buffer.from(bytes, 'latin1'))
    t.equal(responses.length, 1, JSON.stringify(bytes))
    t.equal(responses[0]!.statusCode, status)
    if (status >= 400) t.equal(responses[0]!.headers['content-type'], 'application/problem+json')
    t.equal(lines.length, status === 200 ? 0 : 1)
  }
})

t.test('pipelined requests are answered in order, and what follows a bad one is not', async (t) => {
  const { app } = await listenEdge(t)
  const post = (body: string) => `POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  const three = await talk(app, post('1') + post('2') + get('/nothing'))
  t.strictSame(three.map((one) => one.statusCode), [200, 200, 404])
  t.strictSame(three.slice(0, 2).map((one) => one.json()), [{ body: 1 }, { body: 2 }])

  const two = await talk(app, post('1') + 'GET /deadline HTTP/1.1\r\n\r\n' + get('/deadline'))
  t.strictSame(two.map((one) => one.statusCode), [200, 400])
})

t.test('a request that two parsers could read differently is refused and never reaches a route', async (t) => {
  let reached = 0
  const { app, lines } = await listenEdge(t, {}, (app) => { app.get('/smuggled', async () => { reached += 1 }) })
  const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n'
  const heads = [
    `Content-Length: ${smuggled.length + 5}\r\nTransfer-Encoding: chunked\r\n`,
    'Transfer-Encoding: chunked\r\nContent-Length: 4\r\n',
    'Transfer-Encoding: chunked, identity\r\n',
    'Transfer-Encoding: identity\r\n',
    'Transfer-Encoding: xchunked\r\n',
    'Transfer-Encoding: gzip, chunked\r\n',
    'Transfer-Encoding: chunked;q=1\r\n',
    'Transfer-Encoding : chunked\r\n',
    'Transfer-Encoding:\x0bchunked\r\n',
    'Content-Length: +4\r\n',
    'Content-Length: 0x4\r\n',
    'Content-Length: 4, 4\r\n',
    'Content-Length: -1\r\n',
    'X: y\r\n folded: z\r\nTransfer-Encoding\r\n: chunked\r\n',
    'X: a\rTransfer-Encoding: chunked\r\n',
    'Content-Length: 99999999999999999999\r\n'
  ]
  for (const head of heads) {
    lines.length = 0
    const responses = await talk(app, Buffer.from(`POST /echo HTTP/1.1\r\nHost: a\r\n${head}\r\n0\r\n\r\n${smuggled}`, 'latin1'))
    t.strictSame(responses.map((one) => one.statusCode), [400], JSON.stringify(head))
    t.equal(responses[0]!.headers['content-type'], 'application/problem+json')
    t.equal(responses[0]!.headers.connection, 'close')
    // What was smuggled may be seen, and is then refused with a line of its own.
    t.ok(lines.length > 0 && lines.every(({ status }) => status === 400))
  }
  for (const head of ['Host: a\r\nHost: b\r\n', '', 'Host: a\r\nAuthorization: a\r\nAuthorization: b\r\n']) {
    const responses = await talk(app, `GET /me HTTP/1.1\r\n${head}\r\n${smuggled}${smuggled}`)
    t.strictSame(responses.map((one) => one.statusCode), [400], head)
  }
  t.equal(reached, 0)
})

t.test('floods of headers are refused', async (t) => {
  const { app, lines } = await listenEdge(t)
  const cases = [`Authorization: Bearer ${'a'.repeat(64 * 1024)}\r\n`, 'X: y\r\n'.repeat(20_000), `${'x'.repeat(20_000)}: y\r\n`]
  for (const header of cases) {
    lines.length = 0
    const [response, ...more] = await talk(app, get('/me', header))
    t.equal(more.length, 0)
    t.strictSame(response!.json(), problem(response!, 431, 'Request Header Fields Too Large', 'request-header-fields-too-large', 'The headers are too large.'))
    t.match(lines, [{ level: 30, msg: 'request refused', status: 431, cause: 'HPE_HEADER_OVERFLOW' }])
    t.equal(lines.length, 1)
  }
  const [response] = await talk(app, `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: a\r\n\r\n`)
  t.equal(response!.statusCode, 431)
})

t.test('headers that do not come in time: 408, once', async (t) => {
  const { app, lines } = await listenEdge(t)
  app.server.headersTimeout = 200
  const [response] = await talk(app, 'GET /deadline HTTP/1.1\r\nHost: a\r\n')
  t.strictSame(response!.json(), problem(response!, 408, 'Request Timeout', 'request-timeout', 'The request did not arrive in time.'))
  t.equal(response!.headers.connection, 'close')
  t.match(lines, [{ level: 30, msg: 'request refused', status: 408, cause: 'ERR_HTTP_REQUEST_TIMEOUT' }])
  t.equal(lines.length, 1)
  t.strictSame((await talk(app)).map((one) => one.statusCode), [408], 'nor does a socket stay that says nothing at all')
})

t.test('a body that does not come in time: 408, told once though a route was waiting for it', async (t) => {
  const { app, lines } = await listenEdge(t)
  app.server.requestTimeout = 200
  app.server.headersTimeout = 200
  const responses = await talk(app, 'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"a"')
  t.strictSame(responses.map((one) => one.statusCode), [408])
  await new Promise((resolve) => setTimeout(resolve, 50))
  t.equal(lines.length, 1)
})

t.test('a body that breaks off or breaks the rules of chunks: 400, told once', async (t) => {
  const { app, lines } = await listenEdge(t)
  const head = 'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n'
  const cases = [
    [`${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n`, 400, 'HPE_INVALID_CHUNK_SIZE'],
    [`${head}Transfer-Encoding: chunked\r\n\r\n2;${'x'.repeat(20_000)}\r\n{}\r\n0\r\n\r\n`, 413, 'HPE_CHUNK_EXTENSIONS_OVERFLOW']
  ] as const
  for (const [bytes, status, cause] of cases) {
    lines.length = 0
    const [response, ...more] = await talk(app, bytes, 'and more of it', 'and more')
    t.equal(more.length, 0)
    t.equal(response!.statusCode, status)
    t.equal((response!.json() as { status: number }).status, status)
    await new Promise((resolve) => setTimeout(resolve, 20))
    t.match(lines, [{ level: 30, msg: 'request refused', status, cause }])
    t.equal(lines.length, 1)
  }

  lines.length = 0
  const socket = connect(app)
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  socket.end(`${head}Content-Length: 9\r\n\r\n{"a"`)
  await once(socket, 'close')
  const [response] = readResponses(Buffer.concat(chunks))
  t.strictSame(response!.json(), problem(response!, 400, 'Bad Request', 'bad-request', 'The request is not valid.'))
  t.match(lines, [{ cause: 'HPE_INVALID_EOF_STATE' }])
  t.equal(lines.length, 1)
})

t.test('a client that hangs up leaves no line and no harm', async (t) => {
  const { app, lines } = await listenEdge(t)
  for (const bytes of ['GET /dead', 'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"a"']) {
    const socket = connect(app)
    await once(socket, 'connect')
    socket.write(bytes)
    await new Promise((resolve) => setTimeout(resolve, 20))
    socket.resetAndDestroy()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  t.strictSame(lines, [])
  t.equal((await app.inject('/deadline')).statusCode, 200)
})

t.test('a client that half-closes after its request gets the answer', async (t) => {
  const { app } = await listenEdge(t)
  const socket = connect(app)
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  socket.end('GET /deadline HTTP/1.1\r\nHost: a\r\n\r\n')
  await once(socket, 'close')
  t.equal(readResponses(Buffer.concat(chunks))[0]!.statusCode, 200)
})

t.test('garbage behind an answer that has begun does not get into it', async (t) => {
  const { app, lines } = await listenEdge(t, {}, (app) => {
    app.get('/slow', (_request, reply) => {
      reply.hijack()
      reply.raw.writeHead(200, { 'content-length': '8' })
      reply.raw.write('half')
    })
  })
  const socket = connect(app)
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => {
    if (chunks.push(chunk) === 1) socket.write('GARBAGE\r\n\r\n')
  })
  socket.write('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n')
  await once(socket, 'close')
  t.match(Buffer.concat(chunks).toString(), /\r\n\r\nhalf$/)
  t.strictSame(lines, [])
})

t.test('an address with scheme and authority counts by its path', async (t) => {
  const { app } = await listenEdge(t)
  const cases = [
    ['http://example.com/deadline', 200], ['HTTP://example.com:80/deadline?x=1', 200], ['http://example.com', 404], ['http://example.com?x=/deadline', 404],
    ['http:///deadline', 200], ['ws://example.com/me', 401], ['//example.com/deadline', 404], ['deadline', 400]
  ] as const
  for (const [target, status] of cases) {
    const [response] = await talk(app, get(target))
    t.equal(response!.statusCode, status, target)
  }
})

t.test('no address, however odd, is more than a 4xx, and none is repeated', async (t) => {
  const { app, lines } = await listenEdge(t, { RATE_LIMIT_PER_MINUTE: '0' })
  const token = hs256(claims())
  const odd = fc.constantFrom('%2F', '%2e%2e', '..', '/', '%00', '%0d%0a', '%ZZ', '%', '%E0%A4', '%C0%AF', '%FF', '%25%32%66', '%252F', '%u0000', '%E2%80%AE', '%D0%B0', '__proto__', 'constructor', "';drop table sessions;--", '*', ':room_name', '\xff', '\xc3\x28', '|', ';', '//')
  const rooms = fc.array(fc.oneof(odd, fc.string({ unit: fc.constantFrom(...'abc019._-~') })), { minLength: 1, maxLength: 8 }).map((parts) => `/rooms/${parts.join('')}`)
  await fc.assert(fc.asyncProperty(rooms, fc.option(odd), async (path, query) => {
    lines.length = 0
    const target = `${path}${query ? `?${query}=${query}` : ''}`
    const [response] = await talk(app, Buffer.from(get(target, `Authorization: Bearer ${token}\r\n`), 'latin1'))
    const { statusCode, body } = response!
    return statusCode === 200 ? lines.length === 0 : statusCode >= 400 && statusCode < 500 && lines.length === 1 && !body.includes(path)
  }), { numRuns: 200 })
  t.pass()
})

t.test('a NUL in path or query is refused before routing', async (t) => {
  const { app } = await buildEdge(t)
  for (const url of ['/rooms/a%00b', '/%00', '/strict?page=%00']) {
    const response = await app.inject({ method: 'DELETE', url, headers: bearer(hs256(claims())) })
    t.strictSame(response.json(), problem(response, 400, 'Bad Request', 'bad-address', 'The address holds a character that is not allowed.'), url)
  }
})

t.test('a name of 256 bytes fits, each of them encoded, and one of 769 characters does not', async (t) => {
  const { app } = await buildEdge(t)
  const headers = bearer(hs256(claims()))
  for (const name of ['%61'.repeat(256), 'a'.repeat(256), '%C3%A4'.repeat(128)]) {
    const response = await app.inject({ url: `/rooms/${name}`, headers })
    t.strictSame(response.json(), { room_name: decodeURIComponent(name) })
  }
  const response = await app.inject({ url: `/rooms/${'a'.repeat(769)}`, headers })
  t.strictSame(response.json(), problem(response, 414, 'URI Too Long', 'uri-too-long', 'The address is too long.'))
})

t.test('X-Forwarded-For counts only when it comes from a proxy that is trusted', async (t) => {
  const address = async (extra: Record<string, string>) => {
    const { app } = await buildEdge(t, extra, (app) => { app.get('/ip', async ({ ip }) => ip) })
    return (await app.inject({ url: '/ip', headers: { 'x-forwarded-for': '203.0.113.9, 198.51.100.7' } })).body
  }
  t.equal(await address({}), '127.0.0.1')
  t.equal(await address({ TRUST_PROXY: '10.0.0.0/8' }), '127.0.0.1')
  t.equal(await address({ TRUST_PROXY: '127.0.0.1, 198.51.100.0/24' }), '203.0.113.9')
  t.equal(await address({ TRUST_PROXY: '127.0.0.1' }), '198.51.100.7')
})

t.test('tokens, secrets and keys are in no line and no body, whatever fails', async (t) => {
  const { app, lines } = await listenEdge(t, {}, (app) => {
    app.post('/fail', async (request) => {
      request.log.info({ token: request.headers.authorization, headers: { 'idempotency-key': request.headers['idempotency-key'], authorization: request.headers.authorization }, req: request.raw }, 'a careless line')
      throw new Error('failed', { cause: new Error(`Bearer ${request.headers.authorization}`) })
    })
  })
  const token = hs256(claims())
  const key = 'key-1cb4e0d7'
  const head = `Host: a\r\nAuthorization: Bearer ${token}\r\nIdempotency-Key: ${key}\r\nContent-Type: application/json\r\nConnection: close\r\n`
  const requests = [
    `POST /fail HTTP/1.1\r\n${head}Content-Length: 2\r\n\r\n{}`,
    `POST /echo HTTP/1.1\r\n${head}Content-Length: 1\r\n\r\n{`,
    `POST /strict HTTP/1.1\r\n${head}Content-Length: 7\r\n\r\n{"x":1}`,
    `POST /nothing HTTP/1.1\r\n${head}\r\n`,
    `GET /me HTTP/1.1\r\n${head.replace(token, `${token}x`)}\r\n`,
    `GET /%ZZ HTTP/1.1\r\n${head}\r\n`,
    `GET /me HTTP/1.1\r\n${head}Bad Header: x\r\n\r\n`,
    `BOGUS /me HTTP/1.1\r\n${head}\r\n`,
    `POST /echo HTTP/1.1\r\n${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n`
  ]
  const bodies = []
  for (const request of requests) bodies.push(await talk(app, request))
  t.strictSame(bodies.map(([one]) => one!.statusCode), [500, 400, 400, 404, 401, 400, 400, 400, 400])
  t.equal(lines.length, requests.length + 1)
  const text = JSON.stringify([bodies, lines])
  for (const secret of [...token.split('.').slice(1), key, process.env.HOME ?? '/nowhere/']) t.notOk(JSON.stringify(bodies).includes(secret))
  for (const secret of [...token.split('.').slice(1), key]) t.notOk(text.includes(secret), secret)
})

t.test('after all of this it still answers', async (t) => {
  const { app } = await listenEdge(t)
  const { port } = app.server.address() as AddressInfo
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  for (let round = 0; round < 3; round++) {
    const request = http.get({ port, host: '127.0.0.1', path: '/deadline', agent })
    const [response] = await once(request, 'response') as [http.IncomingMessage]
    t.equal(response.statusCode, 200)
    response.resume()
    await once(response, 'end')
  }
})
