import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { toUser } from '../../plugins/auth/user.ts'
import { bearer, buildEdge, claims, env, hs256, livekitSecret, now, problem, talk, listenEdge, type Edge } from '../helper-edge.ts'

const realm = 'Bearer realm="livekit-sessions"'

/** Every refusal is this one document, whatever was wrong. */
async function refuses (t: Test, { app, lines }: Edge, authorization: string | undefined, what: string, challenge = `${realm}, error="invalid_token"`) {
  lines.length = 0
  const response = await app.inject({ url: '/me', headers: authorization === undefined ? {} : { authorization } })
  t.equal(response.statusCode, 401, what)
  t.strictSame(response.json(), problem(response, 401, 'Unauthorized', 'unauthorized', 'A valid bearer token is required.'), what)
  t.equal(response.headers['www-authenticate'], challenge)
  t.match(lines, [{ level: 30, msg: 'request refused', status: 401, code: 'UNAUTHORIZED', operation: 'getMe', reason: String }])
  t.equal(lines.length, 1)
}

async function accepts (t: Test, { app }: Edge, token: string, what: string, user: object = {}) {
  const response = await app.inject({ url: '/me', headers: bearer(token) })
  t.equal(response.statusCode, 200, what)
  t.match(response.json(), user, what)
}

const build = (t: Test, extra: Record<string, string | undefined> = {}) => buildEdge(t, { RATE_LIMIT_PER_MINUTE: '0', ...extra })

/** Moves the clock of the process, for exp, nbf and iat. */
function setClock (t: Test, offset: number) {
  const real = Date.now
  Date.now = () => real() + offset * 1000
  t.teardown(() => { Date.now = real })
}

t.test('a good token makes the user', async (t) => {
  const edge = await build(t)
  const users = [
    [{}, { id: 'user-1', name: 'mia@example.com', username: 'mia', admin: false }],
    [{ username: 'mia99' }, { username: 'mia99', name: 'mia@example.com' }],
    [{ preferred_username: 'mia98' }, { username: 'mia98' }],
    [{ username: 'mia99', preferred_username: 'mia98' }, { username: 'mia99' }],
    [{ email: undefined }, { id: 'user-1', name: 'user-1', username: 'user-1' }],
    [{ role: 'admin' }, { admin: true }],
    [{ roles: ['user', 'admin'] }, { admin: true }],
    [{ sub: 'auth0|5f7c8:x~y@z.a=b+c_d-e' }, { id: 'auth0|5f7c8:x~y@z.a=b+c_d-e' }],
    [{ sub: 'x'.repeat(128) }, { id: 'x'.repeat(128) }],
    [{ iat: undefined }, { id: 'user-1' }],
    [{ scope: 'x', nested: { a: [1] } }, { id: 'user-1' }]
  ] as const
  for (const [more, user] of users) await accepts(t, edge, hs256(claims(more)), JSON.stringify(more), user)
  await accepts(t, edge, edge.app.jwt.sign(claims()), 'as @fastify/jwt signs it', { id: 'user-1' })
})

t.test('which claim makes an administrator is configured', async (t) => {
  const edge = await build(t, { JWT_ADMIN: 'realm_access.roles=session-admin' })
  for (const [more, admin] of [
    [{ realm_access: { roles: ['user', 'session-admin'] } }, true],
    [{ realm_access: { roles: 'session-admin' } }, true],
    [{ 'realm_access.roles': ['session-admin'] }, true],
    [{ realm_access: { roles: ['admin'] } }, false],
    [{ realm_access: ['session-admin'] }, false],
    [{ realm_access: null }, false],
    [{ role: 'admin', roles: ['admin'] }, false],
    [{ roles: ['session-admin'] }, false]
  ] as const) await accepts(t, edge, hs256(claims(more)), JSON.stringify(more), { admin })
})

t.test('only what says admin in the right place makes an administrator', async (t) => {
  const edge = await build(t)
  for (const more of [{ role: 'Admin' }, { role: ['admin'] }, { roles: 'admin' }, { roles: 'superadmin' }, { roles: { admin: true } }, { roles: [['admin']] }, { admin: true }, { is_admin: 1 }]) {
    await accepts(t, edge, hs256(claims(more)), JSON.stringify(more), { admin: false })
  }
})

t.test('names that nobody should see become the id', async (t) => {
  const edge = await build(t)
  for (const email of [1, null, '', '   ', ['a@b'], 'a\nb', 'a\u0000b', 'a\u202eb', '\ud800', 'a\u2028b', 'x'.repeat(255)]) {
    await accepts(t, edge, hs256(claims({ email, username: email })), encodeURI(JSON.stringify(email)), { name: 'user-1', username: 'user-1' })
  }
  await accepts(t, edge, hs256(claims({ email: '@example.com' })), 'no local part', { name: '@example.com', username: 'user-1' })
  await accepts(t, edge, hs256(claims({ username: 'Zoë 李' })), 'other alphabets', { username: 'Zoë 李' })
})

t.test('names are well-formed, bounded and free of control characters, whatever a token holds', (t) => {
  const rules = { maxLifetime: 86_400, livekitApiKey: 'key', leeway: 5 }
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: fc.constantFrom('\ud83d', '\udc00', '\0', '\n', '\u202e', 'a', 'é', '@') }), fc.anything())
  fc.assert(fc.property(text, text, text, (email, username, preferred) => {
    const user = toUser({ header: {}, payload: { ...claims(), email, username, preferred_username: preferred } }, rules, now())
    if (typeof user === 'string') return false
    return [user.name, user.username].every((name) => typeof name === 'string' && name.isWellFormed() && name.trim() !== '' && [...name].length <= 254 && !/\p{C}/u.test(name))
  }), { numRuns: 1000 })
  t.end()
})

t.test('no token and no bearer token: 401 without an error code', async (t) => {
  const edge = await build(t)
  for (const authorization of [undefined, '', 'Basic dXNlcjpwYXNz', `Token ${hs256(claims())}`, hs256(claims())]) {
    await refuses(t, edge, authorization, String(authorization), realm)
  }
})

t.test('the header holds a scheme, one blank and a token of three parts', async (t) => {
  const edge = await build(t)
  const token = hs256(claims())
  for (const scheme of ['bearer', 'BEARER', 'bEaReR']) t.equal((await edge.app.inject({ url: '/me', headers: { authorization: `${scheme} ${token}` } })).statusCode, 200)

  const [header, payload, signature] = token.split('.') as [string, string, string]
  const malformed = [
    'Bearer', 'Bearer ', `Bearer  ${token}`, `Bearer\t${token}`, `Bearer ${token} `, `Bearer ${token} ${token}`, `Bearer ${token},Bearer ${token}`, `Bearer "${token}"`, `Bearer${token}`, `Bearer=${token}`,
    `Bearer ${token}=`, `Bearer ${token}==`, `Bearer ${header}.${payload}`, `Bearer ${header}.${payload}.`, `Bearer ${token}.${signature}`, `Bearer .${payload}.${signature}`, `Bearer ${header}..${signature}`,
    'Bearer .', 'Bearer ..', 'Bearer a.b.c', 'Bearer null', `Bearer ${header}.${payload}.${signature.slice(0, -2)}`, `Bearer ${header}.${payload}.!${signature}`, `Bearer ${header}.${payload}.${signature}\u00a0`,
    `Bearer ${payload}.${header}.${signature}`
  ]
  for (const authorization of malformed) await refuses(t, edge, authorization, authorization)
})

t.test('signatures: no other algorithm, no other key', async (t) => {
  const edge = await build(t)
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const [header, payload, signature] = hs256(claims()).split('.') as [string, string, string]
  const hmac = (hash: string, alg: string) => {
    const input = `${part({ alg, typ: 'JWT' })}.${payload}`
    return `${input}.${createHmac(hash, edge.config.JWT_SECRET!).update(input).digest('base64url')}`
  }
  const tokens: Record<string, string> = {
    'a claim changed': `${header}.${part(claims({ sub: 'user-2' }))}.${signature}`,
    'a header changed': `${part({ alg: 'HS256', typ: 'JWT', kid: '1' })}.${payload}.${signature}`,
    'another secret': hs256(claims(), undefined, 'another-secret-of-the-same-length-as-it'),
    'an empty secret': hs256(claims(), undefined, ''),
    "LiveKit's secret": hs256(claims(), undefined, livekitSecret),
    'the secret in upper case': hs256(claims(), undefined, env.JWT_SECRET.toUpperCase()),
    'no algorithm': hs256(claims(), { typ: 'JWT' }),
    HS384: hmac('sha384', 'HS384'),
    HS512: hmac('sha512', 'HS512'),
    'HS512 that says HS256': hmac('sha512', 'HS256'),
    'RS256 with a MAC': hmac('sha256', 'RS256')
  }
  for (const alg of ['none', 'None', 'NONE', 'nOnE', '', 'hs256', 'Hs256', 'HS256 ', null, 1, ['HS256'], { a: 1 }]) {
    tokens[`alg ${JSON.stringify(alg)}`] = hs256(claims(), { alg, typ: 'JWT' })
    tokens[`alg ${JSON.stringify(alg)}, no signature`] = `${part({ alg, typ: 'JWT' })}.${payload}.`
  }
  for (const [what, token] of Object.entries(tokens)) await refuses(t, edge, `Bearer ${token}`, what)
})

t.test("LiveKit's own tokens are nobody's, though their signature fits", async (t) => {
  const edge = await build(t)
  const tokens = {
    'a join token': claims({ video: { room: 'room-1', roomJoin: true } }),
    'a join token without grants': claims({ video: {} }),
    'odd grants': claims({ video: null }),
    'a webhook': claims({ sha256: 'x' }),
    'whatever the API key issued': claims({ iss: env.LIVEKIT_API_KEY })
  }
  for (const [what, payload] of Object.entries(tokens)) await refuses(t, edge, `Bearer ${hs256(payload)}`, what)
  await accepts(t, edge, hs256(claims({ iss: 'someone-else' })), 'another issuer')
})

t.test('claims: missing, of another type, out of bounds', async (t) => {
  const edge = await build(t)
  const wrong: Array<Record<string, unknown>> = [
    { sub: undefined }, { sub: null }, { sub: 1 }, { sub: '' }, { sub: ['user-1'] }, { sub: { id: 1 } }, { sub: 'a b' }, { sub: 'a/b' }, { sub: 'a\n' }, { sub: 'ä' }, { sub: 'a\0' }, { sub: '..%2f' }, { sub: 'x'.repeat(129) }, { sub: 'ᴜser' },
    { exp: undefined }, { exp: null }, { exp: String(now() + 60) }, { exp: [now() + 60] }, { exp: true }, { exp: 1e308 }, { exp: -1 }, { exp: 0 }, { exp: -1e308 }, { exp: 2 ** 60 }, { exp: now() - 6 }, { exp: now() + 86_401, iat: now() }, { exp: now() + 86_500, iat: undefined },
    { exp: now() + 60, iat: now() - 86_400 },
    { iat: null }, { iat: 'now' }, { iat: -1 }, { iat: now() + 10 }, { iat: 1e308 }, { iat: true },
    { nbf: now() + 10 }, { nbf: 'x' }, { nbf: null }, { nbf: 1e308 }, { nbf: [0] }
  ]
  for (const more of wrong) await refuses(t, edge, `Bearer ${hs256(claims(more))}`, JSON.stringify(more))
  for (const payload of [[], 'text', 1, null, true, '{', '[{}]', '{"sub":"user-1"', '\ufeff{}']) await refuses(t, edge, `Bearer ${hs256(payload)}`, String(payload))
  for (const more of [{ exp: now() + 86_400, iat: now() }, { exp: now() + 60.5 }, { nbf: now() - 10 }, { nbf: now() + 3 }, { iat: now() + 3 }, { exp: now() - 3, iat: now() - 60 }]) {
    await accepts(t, edge, hs256(claims(more)), JSON.stringify(more))
  }
})

t.test('JWT_MAX_LIFETIME moves the bound', async (t) => {
  const edge = await build(t, { JWT_MAX_LIFETIME: '60' })
  await accepts(t, edge, hs256(claims({ exp: now() + 60 })), '60 s')
  await refuses(t, edge, `Bearer ${hs256(claims({ exp: now() + 61 }))}`, '61 s')
})

t.test('a token is looked at anew each time', async (t) => {
  const edge = await build(t)
  const token = hs256(claims({ exp: now() + 60 }))
  await accepts(t, edge, token, 'good now')
  setClock(t, 66)
  await refuses(t, edge, `Bearer ${token}`, 'over')
})

t.test('issuer and audience are required once configured', async (t) => {
  const edge = await build(t, { JWT_ISSUER: 'https://id.example.com/', JWT_AUDIENCE: 'sessions' })
  const good = { iss: 'https://id.example.com/', aud: 'sessions' }
  await accepts(t, edge, hs256(claims(good)), 'both')
  await accepts(t, edge, hs256(claims({ ...good, aud: ['other', 'sessions'] })), 'one of several audiences')
  const wrong: Array<Record<string, unknown>> = [
    { iss: undefined }, { aud: undefined }, { iss: 'https://id.example.com' }, { iss: 'https://id.example.com/x' }, { iss: ['https://id.example.com/'] }, { iss: '' }, { iss: null },
    { aud: 'other' }, { aud: [] }, { aud: ['other'] }, { aud: '' }, { aud: null }, { aud: 'Sessions' }, { aud: [['sessions']] }, { aud: ['sessions', 1] }, { aud: { sessions: true } }
  ]
  for (const more of wrong) await refuses(t, edge, `Bearer ${hs256(claims({ ...good, ...more }))}`, JSON.stringify(more))
})

t.test('the header: typ, crit and addresses of keys', async (t) => {
  const edge = await build(t)
  const sign = (header: Record<string, unknown>) => hs256(claims(), { alg: 'HS256', ...header })
  for (const typ of [undefined, 'JWT', 'jwt', 'at+jwt', 'AT+JWT', 'application/at+jwt']) await accepts(t, edge, sign({ typ }), `typ ${typ}`)
  for (const typ of ['', 'JWE', 'JOSE', 'dpop+jwt', 'secevent+jwt', 'at+jwt2', 'text/jwt', null, 1, ['JWT']]) await refuses(t, edge, `Bearer ${sign({ typ })}`, `typ ${JSON.stringify(typ)}`)
  for (const header of [{ crit: ['exp'] }, { crit: [] }, { crit: ['b64'], b64: false }, { crit: ['x'], x: 1 }, { crit: null }, { crit: 'x' }, { crit: 0 }]) await refuses(t, edge, `Bearer ${sign(header)}`, JSON.stringify(header))
  for (const header of [{ kid: '../../etc/passwd' }, { jku: 'http://127.0.0.1:9/keys' }, { x5u: 'http://127.0.0.1:9/' }, { jwk: { kty: 'oct', k: '' } }]) await accepts(t, edge, sign(header), JSON.stringify(header))
  for (const header of [[], 'text', null, 1]) await refuses(t, edge, `Bearer ${hs256(claims(), header)}`, `header ${JSON.stringify(header)}`)
})

t.test('whatever stands in the header: the same 401, never more', async (t) => {
  const { app, lines } = await build(t)
  const [header, payload] = hs256(claims()).split('.') as [string, string]
  const part = fc.oneof(fc.base64String({ maxLength: 60 }), fc.json().map((text) => Buffer.from(text).toString('base64url')), fc.constantFrom(header, payload, ''))
  const token = fc.oneof(fc.string(), fc.array(part, { maxLength: 5 }).map((parts) => parts.join('.')), fc.tuple(fc.constant(header), fc.constant(payload), part).map((parts) => parts.join('.')))
  await fc.assert(fc.asyncProperty(token, fc.constantFrom('Bearer ', 'bearer ', '', 'Bearer  '), async (token, scheme) => {
    lines.length = 0
    const response = await app.inject({ url: '/me', headers: { authorization: `${scheme}${token}` } })
    const { instance, ...body } = response.json()
    return response.statusCode === 401 && lines.length === 1 && instance.endsWith(String(response.headers['x-request-id'])) &&
      JSON.stringify(body) === '{"type":"urn:livekit-sessions:problem:unauthorized","title":"Unauthorized","status":401,"detail":"A valid bearer token is required."}'
  }), { numRuns: 300 })
  t.pass()
})

t.test('a token counts in the Authorization header only', async (t) => {
  const { app } = await listenEdge(t, { RATE_LIMIT_PER_MINUTE: '0' })
  const token = hs256(claims())
  for (const [target, header] of [[`/me?access_token=${token}`, ''], ['/me', `Cookie: token=${token}; access_token=${token}\r\n`], ['/me', `Proxy-Authorization: Bearer ${token}\r\n`], ['/me', `X-Access-Token: ${token}\r\n`]]) {
    const [response] = await talk(app, `GET ${target} HTTP/1.1\r\nHost: a\r\n${header}Connection: close\r\n\r\n`)
    t.equal(response!.statusCode, 401)
  }
})

t.test('a request that failed has no user, one that did not has its own', async (t) => {
  const users: unknown[] = []
  const { app } = await buildEdge(t, {}, (app) => { app.addHook('onResponse', async (request) => { users.push(request.user) }) })
  await app.inject({ url: '/me', headers: bearer(hs256(claims({ exp: now() + 100_000 }))) })
  await app.inject({ url: '/me', headers: bearer(hs256(claims())) })
  await app.inject('/deadline')
  t.strictSame(users, [null, { id: 'user-1', name: 'mia@example.com', username: 'mia', admin: false }, null])
})

t.test('an address that keeps failing is told to wait, and nobody else is', async (t) => {
  const edge = await buildEdge(t, { RATE_LIMIT_PER_MINUTE: '3', TRUST_PROXY: '127.0.0.1' })
  const { app, lines } = edge
  const from = (address: string, authorization: string) => app.inject({ url: '/me', headers: { authorization, 'x-forwarded-for': address } })
  const bad = `Bearer ${hs256(claims(), undefined, 'another-secret-of-the-same-length-as-it')}`
  for (let round = 0; round < 3; round++) t.equal((await from('203.0.113.1', bad)).statusCode, 401)

  lines.length = 0
  const response = await from('203.0.113.1', bad)
  t.equal(response.statusCode, 429)
  const { retry_after: wait } = response.json()
  t.ok(wait > 50 && wait <= 60)
  t.strictSame(response.json(), problem(response, 429, 'Too Many Requests', 'rate-limited', 'Too many requests. Wait before the next one.', { retry_after: wait, limit: 3 }))
  t.match(response.headers, { 'retry-after': String(wait), 'ratelimit-limit': '3', 'ratelimit-remaining': '0', 'ratelimit-reset': String(wait) })
  t.match(lines, [{ level: 30, status: 429, code: 'RATE_LIMITED' }])
  t.equal(lines.length, 1)

  const order: number[] = []
  await Promise.all([bad, `Bearer ${hs256(claims())}`].map(async (token) => order.push((await from('203.0.113.1', token)).statusCode)))
  t.strictSame(order, [200, 429], 'who is refused too often waits, and nobody for them')

  t.equal((await from('203.0.113.2', bad)).statusCode, 401, 'another address')
  t.equal((await from('203.0.113.1', `Bearer ${hs256(claims())}`)).statusCode, 200, 'a good token from the same address')
})
