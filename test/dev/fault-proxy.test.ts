import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Client } from 'undici'
import { startFaultProxy } from '../../dev/faults/fault-proxy.ts'

t.test('forwards HTTP over kept-alive connections, large bodies and chunked ones included', async (t) => {
  const { proxy, client } = await http(t)
  t.same(await call(client, '/a'), { status: 200, body: 'POST /a 2' })
  t.same(await call(client, '/b', 'x'.repeat(300_000)), { status: 200, body: 'POST /b 300000' })
  const chunks = (async function * () { yield 'abc'; await sleep(20); yield 'de' })()
  t.same(await call(client, '/c', chunks), { status: 200, body: 'POST /c 5' })
  t.equal(proxy.connections(), 1)
  t.equal(proxy.hits(), 0)
})

t.test('refuse: nobody is there, also for connections that were open; then it is back', async (t) => {
  const { proxy, client } = await http(t)
  await call(client, '/a')
  await proxy.fault('refuse')
  await t.rejects(call(client, '/a'), { code: /ECONNRESET|UND_ERR_SOCKET|ECONNREFUSED/ })
  await t.rejects(call(client, '/a'), { code: 'ECONNREFUSED' })
  await proxy.fault()
  t.match(await call(client, '/a'), { status: 200 })
})

t.test('reset: open and new connections get RST', async (t) => {
  const { proxy, echo } = await raw(t)
  const open = await echo('hello')
  await proxy.fault('reset')
  await t.rejects(open.next(), { code: 'ECONNRESET' })
  await t.rejects(echo('hello'), { code: 'ECONNRESET' })
  t.equal(proxy.connections(), 0)
})

t.test('hang: nothing passes, nothing is lost', async (t) => {
  const { proxy, client, seen } = await http(t)
  await proxy.fault('hang')
  const answer = call(client, '/a')
  t.equal(await Promise.race([answer, sleep(100, 'still waiting')]), 'still waiting')
  t.same(seen, [])
  await proxy.fault()
  t.match(await answer, { status: 200 })
})

t.test('halfOpen: both sides are left alone with their sockets', async (t) => {
  const { proxy, echo, server } = await raw(t)
  const one = await echo('hello')
  await proxy.fault('halfOpen')
  one.socket.write('lost')
  t.equal(await Promise.race([one.next(), sleep(100, 'nothing')]), 'nothing')
  one.socket.destroy()
  await sleep(50)
  t.equal(await connectionsOf(server), 1, 'the server does not learn that its client is gone')
  await proxy.fault()
  await sleep(50)
  t.equal(await connectionsOf(server), 0)
})

t.test('mute: the request is carried out, the answer is lost', async (t) => {
  const { proxy, client, seen } = await http(t)
  await proxy.fault('mute', /\/create/)
  t.match(await call(client, '/list'), { status: 200 })
  const answer = call(client, '/create').then(() => 'answered', (error) => error.code)
  t.equal(await Promise.race([answer, sleep(100, 'nothing')]), 'nothing')
  t.same(seen, ['/list', '/create'])
  t.equal(proxy.hits(), 1)
  await proxy.fault()
  t.match(await answer, /UND_ERR_SOCKET|ECONNRESET/)
  t.match(await call(client, '/list'), { status: 200 })
})

t.test('delay: each request takes that much longer', async (t) => {
  const { proxy, client } = await http(t)
  await proxy.fault({ delay: 150 }, /"slow"/)
  const started = performance.now()
  t.match(await call(client, '/a', '"quick"'), { status: 200 })
  t.ok(performance.now() - started < 140)
  await call(client, '/a', '"slow"')
  t.ok(performance.now() - started >= 149)
})

t.test('respond: requests that match are answered and go no further, on one connection with others that pass', async (t) => {
  const { proxy, client, seen } = await http(t)
  await proxy.fault({ respond: 'HTTP/1.1 503 Service Unavailable\ncontent-type: application/json\n\n{"code":"unavailable"}' }, /CreateRoom/)
  t.match(await call(client, '/ListRooms'), { status: 200 })
  t.same(await call(client, '/CreateRoom'), { status: 503, body: '{"code":"unavailable"}' })
  t.match(await call(client, '/ListRooms'), { status: 200 })
  await proxy.fault({ respond: 'HTTP/1.1 429 Too Many Requests' })
  t.same(await call(client, '/ListRooms'), { status: 429, body: '' })
  t.same(seen, ['/ListRooms', '/ListRooms'])
  t.equal(proxy.connections(), 1)
})

t.test('dropAfter: an answer breaks off in the middle', async (t) => {
  const { proxy, echo } = await raw(t)
  await proxy.fault({ dropAfter: 5 })
  const one = await echo('hello world')
  t.equal(one.first, 'hello')
  await t.rejects(one.next(), { code: 'ECONNRESET' })
})

t.test('a fault can be meant for certain requests of any protocol', async (t) => {
  const { proxy, echo } = await raw(t)
  await proxy.fault('reset', /INSERT/)
  const one = await echo('\0\0select 1')
  t.equal(one.first, '\0\0select 1')
  one.socket.write('\0\0INSERT')
  await t.rejects(one.next(), { code: 'ECONNRESET' })
})

t.test('without a server behind it, clients are reset', async (t) => {
  const { proxy, server, echo } = await raw(t)
  await new Promise((resolve) => server.close(resolve))
  await t.rejects(echo('hello'), { code: 'ECONNRESET' })
  t.equal(proxy.connections(), 0)
})

/** A server that says what it was asked, a proxy, and a client with one connection. */
async function http (t: Test) {
  const seen: string[] = []
  const server = createHttpServer(async (request, response) => {
    let length = 0
    for await (const chunk of request) length += chunk.length
    seen.push(request.url!)
    response.end(`${request.method} ${request.url} ${length}`)
  })
  const proxy = await behind(t, server)
  const client = new Client(proxy.url)
  t.teardown(() => client.destroy())
  t.teardown(() => server.closeAllConnections())
  return { proxy, client, seen }
}

/** A server that sends back what it gets, a proxy, and a function that connects, sends, and waits for the first answer. */
async function raw (t: Test) {
  const server = createServer((socket) => { socket.on('error', () => {}).pipe(socket) })
  const proxy = await behind(t, server)
  const echo = async (text: string) => {
    const socket = connect(proxy.port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    const next = nextOf(socket)
    socket.write(text)
    return { socket, first: await next(), next }
  }
  return { server, proxy, echo }
}

/** The next bytes of a socket, or its error, whichever came first since the last call. */
function nextOf (socket: Socket): () => Promise<string> {
  const news: Array<string | Error> = []
  socket.on('data', (chunk) => { news.push(chunk.toString()) }).on('error', (error) => { news.push(error) })
  return async () => {
    while (!news.length) await Promise.race([once(socket, 'data'), once(socket, 'close')].map((event) => event.catch(() => {})))
    const first = news.shift()!
    if (typeof first !== 'string') throw first
    return first
  }
}

async function behind (t: Test, server: Server) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const proxy = await startFaultProxy({ target: { host: '127.0.0.1', port: (server.address() as AddressInfo).port } })
  t.teardown(async () => {
    await proxy.stop()
    server.close()
  })
  return proxy
}

async function call (client: Client, path: string, body: string | AsyncIterable<string> = '{}') {
  const response = await client.request({ method: 'POST', path, body: body as string })
  return { status: response.statusCode, body: await response.body.text() }
}

function connectionsOf (server: Server): Promise<number> {
  return new Promise((resolve, reject) => server.getConnections((error, count) => error ? reject(error) : resolve(count)))
}
