import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createJwks } from '../../plugins/auth/jwks.ts'
import { bearer, buildEdge, claims as someClaims, hs256, problem, signed } from '../helper-edge.ts'

const claims = (more: Record<string, unknown> = {}) => someClaims({ iss: 'issuer', aud: 'app', ...more })

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const rsa2 = generateKeyPairSync('rsa', { modulusLength: 2048 })
const shortRsa = generateKeyPairSync('rsa', { modulusLength: 1024 })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const ec384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
const ed = generateKeyPairSync('ed25519')

const jwk = (key: KeyObject, kid: string, more: object = {}) => ({ ...key.export({ format: 'jwk' }), kid, ...more })
const everyKey = [
  jwk(rsa.publicKey, 'rsa', { use: 'sig' }), jwk(rsa2.publicKey, 'rs256-only', { alg: 'RS256' }), jwk(ec.publicKey, 'ec'), jwk(ed.publicKey, 'ed', { alg: 'EdDSA' }),
  jwk(rsa2.publicKey, 'for-encryption', { use: 'enc' }), jwk(shortRsa.publicKey, 'short'), jwk(ec384.publicKey, 'ec384'), { kty: 'oct', k: Buffer.from('a secret in public').toString('base64url'), kid: 'secret' }, { kty: 'RSA', kid: 'broken' }, null
]

/** A key address that counts how often it is asked and answers as the test wants. */
async function listenKeys (t: Test, keys: unknown[] = everyKey) {
  const state = { asked: 0, answer: (response: http.ServerResponse): void => { response.end(JSON.stringify({ keys })) } }
  const server = http.createServer((_request, response) => {
    state.asked += 1
    state.answer(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return Object.assign(state, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys.json` })
}

async function build (t: Test, keys?: unknown[]) {
  const server = await listenKeys(t, keys)
  const { app, lines } = await buildEdge(t, { JWT_SECRET: undefined, JWT_JWKS_URL: server.url, JWT_ISSUER: 'issuer', JWT_AUDIENCE: 'app', RATE_LIMIT_PER_MINUTE: '0' })
  const status = async (token: string) => (await app.inject({ url: '/me', headers: bearer(token) })).statusCode
  return { app, lines, server, status }
}

t.test('keys of every kind that is allowed sign users in, with one fetch', async (t) => {
  const { server, status } = await build(t)
  t.equal(await status(signed(claims(), { alg: 'RS256', kid: 'rsa' }, rsa.privateKey)), 200)
  t.equal(await status(signed(claims(), { alg: 'PS256', kid: 'rsa' }, rsa.privateKey)), 200)
  t.equal(await status(signed(claims(), { alg: 'RS256', kid: 'rs256-only' }, rsa2.privateKey)), 200)
  t.equal(await status(signed(claims(), { alg: 'ES256', kid: 'ec' }, ec.privateKey)), 200)
  t.equal(await status(signed(claims(), { alg: 'EdDSA', kid: 'ed' }, ed.privateKey)), 200)
  t.equal(server.asked, 1)
})

t.test('no other key, algorithm or claim does', async (t) => {
  const { app, server, status } = await build(t)
  const pem = rsa.publicKey.export({ type: 'spki', format: 'pem' }).toString()
  const mac = (alg: string, secret: string | Buffer) => {
    const [header, payload] = hs256(claims(), { alg, kid: 'rsa', typ: 'JWT' }).split('.')
    return `${header}.${payload}.${createHmac('sha256', secret).update(`${header}.${payload}`).digest('base64url')}`
  }
  const tokens: Record<string, string> = {
    'the public key as a secret': mac('HS256', pem),
    'the public key as a secret, trimmed': mac('HS256', pem.trim()),
    'the modulus as a secret': mac('HS256', Buffer.from(String(rsa.publicKey.export({ format: 'jwk' }).n), 'base64url')),
    'a MAC that says RS256': mac('RS256', pem),
    'a symmetric key of the set': hs256(claims(), { alg: 'HS256', kid: 'secret' }, 'a secret in public'),
    'no algorithm': `${hs256(claims(), { alg: 'none', kid: 'rsa' }).split('.').slice(0, 2).join('.')}.`,
    'another key': signed(claims(), { alg: 'RS256', kid: 'rsa' }, rsa2.privateKey),
    'a key of another name': signed(claims(), { alg: 'RS256', kid: 'rs256-only' }, rsa.privateKey),
    'an algorithm that is not this key\'s': signed(claims(), { alg: 'PS256', kid: 'rs256-only' }, rsa2.privateKey),
    'RS256 by the name of an elliptic curve': signed(claims(), { alg: 'RS256', kid: 'ec' }, rsa.privateKey),
    RS512: signed(claims(), { alg: 'RS512', kid: 'rsa' }, rsa.privateKey),
    ES384: signed(claims(), { alg: 'ES384', kid: 'ec384' }, ec384.privateKey),
    'a key for encryption': signed(claims(), { alg: 'RS256', kid: 'for-encryption' }, rsa2.privateKey),
    'a key that is too short': signed(claims(), { alg: 'RS256', kid: 'short' }, shortRsa.privateKey),
    'a key by no name': signed(claims(), { alg: 'RS256' }, rsa.privateKey),
    'a name of another type': signed(claims(), { alg: 'RS256', kid: ['rsa'] }, rsa.privateKey),
    'the name of a prototype': signed(claims(), { alg: 'RS256', kid: '__proto__' }, rsa.privateKey),
    'an expired token': signed(claims({ exp: 1 }), { alg: 'RS256', kid: 'rsa' }, rsa.privateKey),
    'a join token': signed(claims({ video: { room: 'r' } }), { alg: 'RS256', kid: 'rsa' }, rsa.privateKey)
  }
  for (const [what, token] of Object.entries(tokens)) {
    const response = await app.inject({ url: '/me', headers: bearer(token) })
    t.strictSame(response.json(), problem(response, 401, 'Unauthorized', 'unauthorized', 'A valid bearer token is required.'), what)
  }
  t.equal(await status(signed(claims(), { alg: 'RS256', kid: 'rsa' }, rsa.privateKey)), 200)
  t.equal(server.asked, 1)
})

t.test('a token that names no key uses the only one there is', async (t) => {
  const { status } = await build(t, [jwk(ec.publicKey, 'only')])
  t.equal(await status(signed(claims(), { alg: 'ES256' }, ec.privateKey)), 200)
  t.equal(await status(signed(claims(), { alg: 'ES256', kid: 'other' }, ec.privateKey)), 401)
})

t.test('addresses in a token are never asked', async (t) => {
  const { server, status } = await build(t)
  const own = await listenKeys(t, [jwk(rsa2.publicKey, 'rsa'), jwk(rsa2.publicKey, 'mine')])
  for (const more of [{ jku: own.url }, { x5u: own.url }, { kid: own.url }, { jku: own.url, kid: 'mine' }, { jwk: jwk(rsa2.publicKey, 'rsa') }]) {
    t.equal(await status(signed(claims({ iss: new URL(own.url).origin }), { alg: 'RS256', kid: 'rsa', ...more }, rsa2.privateKey)), 401)
  }
  t.equal(own.asked, 0)
  t.equal(server.asked, 1)
})

t.test('a redirect is not followed', async (t) => {
  const { app, server } = await build(t)
  const other = await listenKeys(t)
  server.answer = (response) => { response.writeHead(302, { location: other.url }).end() }
  const response = await app.inject({ url: '/me', headers: bearer(signed(claims(), { alg: 'RS256', kid: 'rsa' }, rsa.privateKey)) })
  t.equal(response.statusCode, 503)
  t.equal(other.asked, 0)
})

t.test('while the keys cannot be had, nobody is told that a token is wrong', async (t) => {
  const { app, lines, server } = await build(t)
  const answers: Record<string, (response: http.ServerResponse) => void> = {
    'an error': (response) => { response.writeHead(500).end('no') },
    'no JSON': (response) => { response.end('<html>') },
    'no set': (response) => { response.end('{"keys":1}') },
    null: (response) => { response.end('null') },
    'a flood': (response) => { response.end(JSON.stringify({ keys: everyKey, padding: 'x'.repeat(300_000) })) },
    'a reset': (response) => { response.destroy() }
  }
  for (const [what, answer] of Object.entries(answers)) {
    server.answer = answer
    lines.length = 0
    const { app } = await buildEdge(t, { JWT_SECRET: undefined, JWT_JWKS_URL: server.url, JWT_ISSUER: 'issuer', JWT_AUDIENCE: 'app' })
    const response = await app.inject({ url: '/me', headers: bearer(signed(claims(), { alg: 'RS256', kid: 'rsa' }, rsa.privateKey)) })
    t.strictSame(response.json(), { ...problem(response, 503, 'Service Unavailable', 'service-unavailable', 'The service is not available right now. Try again later.'), retry_after: 5 }, what)
    t.equal(response.headers['retry-after'], '5')
  }
  server.answer = (response) => { response.writeHead(500).end() }
  lines.length = 0
  await app.inject({ url: '/me', headers: bearer(signed(claims(), { alg: 'RS256', kid: 'rsa' }, rsa.privateKey)) })
  t.match(lines, [{ level: 50, msg: 'request failed', status: 503, operation: 'getMe', err: { code: 'KEYS_UNAVAILABLE', cause: { message: 'The key address answered 500' } } }])
  t.equal(lines.length, 1)
})

t.test('a key address that hangs costs its time-out, once', async (t) => {
  const server = await listenKeys(t)
  server.answer = () => {}
  const keys = createJwks({ url: server.url, timeout: 100, cooldown: 60_000 })
  const before = performance.now()
  const answers = await Promise.allSettled(Array.from({ length: 1000 }, (_, at) => keys.find({ kid: `k${at}`, alg: 'RS256' })))
  t.ok(answers.every(({ status }) => status === 'rejected'))
  await t.rejects(keys.find({ kid: 'rsa', alg: 'RS256' }), { code: 'KEYS_UNAVAILABLE' })
  t.ok(performance.now() - before < 10_000)
  t.equal(server.asked, 1)
})

t.test('a flood of unknown names is not a flood of fetches', async (t) => {
  const server = await listenKeys(t)
  const keys = createJwks({ url: server.url, cooldown: 60_000 })
  for (let at = 0; at < 500; at++) t.equal(await keys.find({ kid: `k${at}`, alg: 'RS256' }), undefined)
  t.ok(await keys.find({ kid: 'rsa', alg: 'RS256' }), 'the known ones are not pushed out by it')
  t.equal(server.asked, 1)
})

t.test('a key serves the algorithms of its kind only', async (t) => {
  const server = await listenKeys(t)
  const keys = createJwks({ url: server.url })
  const serves = async (kid: string) => {
    const found = await Promise.all(['RS256', 'PS256', 'ES256', 'EdDSA', 'HS256', 'none', undefined].map(async (alg) => await keys.find({ kid, alg }) ? alg : false))
    return found.filter(Boolean).join()
  }
  t.strictSame(Object.fromEntries(await Promise.all(['rsa', 'rs256-only', 'ec', 'ed', 'ec384', 'short', 'for-encryption', 'secret', 'broken', ''].map(async (kid) => [kid, await serves(kid)]))), {
    rsa: 'RS256,PS256', 'rs256-only': 'RS256', ec: 'ES256', ed: 'EdDSA', ec384: '', short: '', 'for-encryption': '', secret: '', broken: '', '': ''
  })
})

t.test('a new key is found after the pause, a withdrawn one goes with the set', async (t) => {
  const server = await listenKeys(t)
  const keys = createJwks({ url: server.url, cooldown: 30, maxAge: 0 })
  const pause = () => new Promise((resolve) => setTimeout(resolve, 40))
  t.ok(await keys.find({ kid: 'rsa', alg: 'RS256' }))

  server.answer = (response) => { response.end(JSON.stringify({ keys: [jwk(ed.publicKey, 'new')] })) }
  await pause()
  t.ok(await keys.find({ kid: 'new', alg: 'EdDSA' }))
  t.equal(await keys.find({ kid: 'rsa', alg: 'RS256' }), undefined)
})

t.test('a set that is old is fetched again behind the back of its user, and kept while that fails', async (t) => {
  const server = await listenKeys(t)
  const keys = createJwks({ url: server.url, cooldown: 10, maxAge: 0 })
  t.ok(await keys.find({ kid: 'rsa', alg: 'RS256' }))
  server.answer = (response) => { response.writeHead(500).end() }
  for (let round = 0; round < 3; round++) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    t.ok(await keys.find({ kid: 'rsa', alg: 'RS256' }))
  }
  t.ok(server.asked >= 3)
  await t.rejects(keys.find({ kid: 'rotated', alg: 'RS256' }), { code: 'KEYS_UNAVAILABLE' }, 'an unknown one might be new')
})

t.test('keys that could not be fetched for a day are worth nothing', async (t) => {
  const server = await listenKeys(t)
  const keys = createJwks({ url: server.url, cooldown: 0, maxAge: 20, largestAge: 60 })
  const find = () => keys.find({ kid: 'rsa', alg: 'RS256' })
  t.match(await find(), /PUBLIC KEY/)
  server.answer = (response) => { response.writeHead(500).end() }
  await new Promise((resolve) => setTimeout(resolve, 30))
  t.match(await find(), /PUBLIC KEY/, 'for a while they go on')
  await new Promise((resolve) => setTimeout(resolve, 50))
  await t.rejects(find(), { code: 'KEYS_UNAVAILABLE' })
})

t.test('a flood of tokens while the keys are away is counted like any other', async (t) => {
  const server = await listenKeys(t)
  server.answer = (response) => { response.writeHead(500).end() }
  const { app, lines } = await buildEdge(t, { JWT_SECRET: undefined, JWT_JWKS_URL: server.url, JWT_ISSUER: 'issuer', JWT_AUDIENCE: 'app', RATE_LIMIT_PER_MINUTE: '3' })
  const statuses = []
  for (let n = 0; n < 6; n++) statuses.push((await app.inject({ url: '/me', headers: bearer(signed(claims(), { alg: 'RS256', kid: `k${n}` }, rsa.privateKey)) })).statusCode)
  t.strictSame(statuses, [503, 503, 503, 429, 429, 429])
  t.equal(lines.filter(({ level }) => level >= 50).length, 3)
})
