// The way to LiveKit under bad luck: what a call gives and throws when the other side is slow, silent, odd or gone.
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { AccessToken, TokenVerifier, TrackSource } from 'livekit-server-sdk'
import t, { type Test } from 'tap'
import { Registry } from 'prom-client'
import { createLiveKit } from '../../plugins/livekit/client.ts'
import { createTokens } from '../../plugins/livekit/tokens.ts'
import { createTransport } from '../../plugins/livekit/transport.ts'

/** A transport to a server that answers as told. */
async function to (t: Test, listener: RequestListener, connections?: number) {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const transport = createTransport([`ws://127.0.0.1:${(server.address() as AddressInfo).port}`], connections)
  t.teardown(async () => {
    server.closeAllConnections()
    server.close()
    await transport.close()
  })
  return (limit = 1000) => transport.within(limit).request('RoomService', 'ListRooms', { names: ['a'] }, { Authorization: 'Bearer x' })
}

const ask = async (call: () => Promise<unknown>) => {
  const begin = performance.now()
  const error = await call().then(() => undefined, (error: Error & { code?: string, status?: number }) => error)
  return { error, took: performance.now() - begin }
}

t.test('sends Twirp JSON and gives the answer back, however it is cut', async (t) => {
  const seen: unknown[] = []
  const text = JSON.stringify({ rooms: [{ name: 'grüße', metadata: 'ü'.repeat(40_000) }] })
  const call = await to(t, (request, response) => {
    request.setEncoding('utf8').on('data', (body) => seen.push(request.method, request.url, request.headers['content-type'], request.headers.authorization, body))
    response.setHeader('content-type', 'application/json')
    const bytes = Buffer.from(text)
    // Cut inside a character.
    const cut = bytes.indexOf('ü') + 1
    response.write(bytes.subarray(0, cut), () => setImmediate(() => response.end(bytes.subarray(cut))))
  })
  t.same(await call(), JSON.parse(text))
  t.same(seen, ['POST', '/twirp/livekit.RoomService/ListRooms', 'application/json', 'Bearer x', '{"names":["a"]}'])
})

t.test('throws what LiveKit refuses with, in the words of the SDK', async (t) => {
  const call = await to(t, (_request, response) => { response.writeHead(404, { 'content-type': 'application/json' }).end('{"code":"not_found","msg":"no such room"}') })
  t.match((await ask(call)).error, { name: 'ServerError', status: 404, code: 'not_found', message: 'no such room' })
})

t.test('throws refusals that are not JSON, too', async (t) => {
  const call = await to(t, (_request, response) => { response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad Gateway</h1>') })
  t.match((await ask(call)).error, { name: 'ServerError', status: 502, code: undefined })
  const lying = await to(t, (_request, response) => { response.writeHead(502, { 'content-type': 'application/json' }).end('{') })
  t.match((await ask(lying)).error, { name: 'ServerError', status: 502, code: undefined, message: '{' })
})

t.test('an answer of 200 that is not JSON is an error', async (t) => {
  const call = await to(t, (_request, response) => { response.end('<html>') })
  t.ok((await ask(call)).error instanceof SyntaxError)
})

t.test('gives up at its limit, before the head of the answer and in its body', async (t) => {
  for (const [where, listener] of Object.entries<RequestListener>({
    head: () => {},
    body: (_request, response) => { response.write('{"rooms":') }
  })) {
    const call = await to(t, listener)
    const { error, took } = await ask(() => call(100))
    t.equal(error?.code, 'ETIMEDOUT', where)
    t.ok(took >= 99 && took < 400, `${where}: after ${Math.round(took)} ms`)
  }
})

t.test('a call that waited for a connection until its limit is never sent', async (t) => {
  let arrived = 0
  const call = await to(t, (_request, response) => {
    arrived++
    setTimeout(() => response.end('{}'), 300)
  }, 1)
  const first = call(1000)
  t.equal((await ask(() => call(50))).error?.code, 'UND_ERR_CONNECT_TIMEOUT')
  t.same(await first, {})
  t.same(await call(1000), {}, 'the next one is served')
  t.equal(arrived, 2)
})

t.test('says so when the connection is refused or breaks', async (t) => {
  const closed = createTransport(['http://127.0.0.1:1'])
  t.teardown(() => closed.close())
  t.equal((await ask(() => closed.within(1000).request('RoomService', 'ListRooms', {}, {}))).error?.code, 'ECONNREFUSED')

  const breaks = await to(t, (request, response) => { response.write('{'); setImmediate(() => request.socket.destroy()) })
  t.equal((await ask(breaks)).error?.code, 'UND_ERR_SOCKET')
})

t.test('a closed transport refuses at once', async (t) => {
  const transport = createTransport(['http://127.0.0.1:1'])
  await transport.close()
  t.match((await ask(() => transport.within(1000).request('RoomService', 'ListRooms', {}, {}))).error, { code: /^UND_ERR_(CLOSED|DESTROYED)$/ })
})

t.test('the service\'s own tokens', async (t) => {
  const [key, secret] = ['APIkey', 'c0ffee00c0ffee00c0ffee00c0ffee00']
  const { authHeader, join } = createTokens(key, secret)
  const claims = async (header: Record<string, string>) => new TokenVerifier(key, secret).verify(header.Authorization!.slice('Bearer '.length))

  t.test('are what the SDK would sign', async (t) => {
    const own = new AccessToken(key, secret, { ttl: '10m' })
    own.addGrant({ roomAdmin: true, room: 'a' })
    const { exp, nbf, ...theirs } = await claims({ Authorization: `Bearer ${await own.toJwt()}` })
    const ours = await claims(await authHeader({ roomAdmin: true, room: 'a' }))
    t.match(ours, theirs)
    t.equal(ours.exp! - ours.nbf!, exp! - nbf!)
  })

  t.test('and so are join tokens, for any identity, name and grant', async (t) => {
    const grants = fc.record({ canPublish: fc.boolean(), canSubscribe: fc.boolean(), canPublishData: fc.boolean(), canPublishSources: fc.constantFrom<Array<'microphone' | 'camera'> | undefined>(undefined, ['microphone'], ['microphone', 'camera']) })
    await fc.assert(fc.asyncProperty(fc.string({ minLength: 1 }), fc.string({ minLength: 1, unit: 'grapheme' }), fc.string({ minLength: 1 }), fc.integer({ min: 60, max: 604_800 }), grants, async (identity, name, room, ttl, grant) => {
      const { canPublishSources, ...rest } = grant
      const sdk = new AccessToken(key, secret, { identity, name, ttl })
      sdk.addGrant({ roomJoin: true, room, ...rest, ...(canPublishSources && { canPublishSources: canPublishSources.map((source) => ({ microphone: TrackSource.MICROPHONE, camera: TrackSource.CAMERA })[source]) }) })
      const { token, expiresAt } = join({ roomName: room, identity, name, ttl, grant })
      const verifier = new TokenVerifier(key, secret)
      const [ours, theirs] = [await verifier.verify(token), await verifier.verify(await sdk.toJwt())]
      t.equal(expiresAt.getTime(), ours.exp! * 1000)
      t.equal(ours.exp! - ours.nbf!, ttl)
      for (const claims of [ours, theirs]) { delete claims.exp; delete claims.nbf }
      t.same(JSON.parse(JSON.stringify(ours)), JSON.parse(JSON.stringify(theirs)))
    }), { numRuns: 100 })
  })

  t.test('allow one room, or share one token', async (t) => {
    t.match((await claims(await authHeader({ roomAdmin: true, room: 'b' }))).video, { roomAdmin: true, room: 'b' })
    const shared = await authHeader({ roomCreate: true })
    t.equal(await authHeader({ roomList: true }), shared)
    t.strictSame((await claims(shared)).video, { roomCreate: true, roomList: true, roomRecord: true, ingressAdmin: true })
  })

  t.test('are made anew in good time', async (t) => {
    const { now } = Date
    t.teardown(() => { Date.now = now })
    const shared = await authHeader({ roomList: true })
    Date.now = () => now() + 301_000
    t.not(await authHeader({ roomList: true }), shared)
  })
})

/** A client of a LiveKit that answers DeleteRoom with these, one after the other, and everything else with an empty 200; and what it was asked. */
async function deleting (t: Test, ...answers: Array<200 | 404 | 500 | 503>) {
  const asked: string[] = []
  const server = createServer((request, response) => {
    const method = request.url!.split('/').pop()!
    asked.push(method)
    const status = method === 'DeleteRoom' ? answers.shift() ?? 503 : 200
    response.writeHead(status, { 'content-type': 'application/json' }).end(status === 200 ? '{}' : JSON.stringify({ code: { 404: 'not_found', 500: 'internal', 503: 'unavailable' }[status], msg: 'no' }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const livekit = createLiveKit({ urls: [`ws://127.0.0.1:${(server.address() as AddressInfo).port}`], apiKey: 'key', apiSecret: 'a'.repeat(32), metrics: new Registry() })
  t.teardown(async () => {
    server.closeAllConnections()
    server.close()
    await livekit.close()
  })
  return { livekit, asked }
}

t.test('a room whose delete met another one is deleted', async (t) => {
  const { livekit, asked } = await deleting(t, 503, 404)
  await livekit.deleteRoom('room')
  t.same(asked, ['DeleteRoom', 'DeleteRoom'])
})

t.test('a room whose node has died is placed on another one, and deleted there', async (t) => {
  const { livekit, asked } = await deleting(t, 503, 503, 200)
  await livekit.deleteRoom('room')
  t.same(asked, ['DeleteRoom', 'DeleteRoom', 'CreateRoom', 'DeleteRoom'])
})

t.test('a room that LiveKit has forgotten, its Redis being empty, is made known to it, and deleted', async (t) => {
  const { livekit, asked } = await deleting(t, 500, 500, 200)
  await livekit.deleteRoom('room')
  t.same(asked, ['DeleteRoom', 'DeleteRoom', 'CreateRoom', 'DeleteRoom'])
})

t.test('a LiveKit that cannot delete is asked no further', async (t) => {
  const { livekit, asked } = await deleting(t)
  await t.rejects(livekit.deleteRoom('room'), { code: 'LIVEKIT_FAILED', liveKitStatus: 503 })
  t.same(asked, ['DeleteRoom', 'DeleteRoom', 'CreateRoom', 'DeleteRoom'])
})
