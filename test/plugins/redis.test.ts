import net from 'node:net'
import t, { type Test } from 'tap'
import { bearer, buildEdge, claims, hs256 } from '../helper-edge.ts'

/** As much of Redis as a rate limit needs: counters with a time to live, told by the two scripts of @fastify/rate-limit. */
async function listenRedis (t: Test, port = 0) {
  const counters = new Map<string, number>()
  const sockets = new Set<net.Socket>()
  const state = { counters, answering: true }

  function run ([name = '', ...args]: string[]): string {
    switch (name.toLowerCase()) {
      case 'evalsha': case 'eval': {
        const [script = '', , key = '', window = '60000'] = args
        const reads = script.includes("'GET'") || args.length === 3
        const count = (counters.get(key) ?? 0) + (reads ? 0 : 1)
        if (!reads) counters.set(key, count)
        return `*2\r\n:${count}\r\n:${reads ? 60_000 : window}\r\n`
      }
      case 'hello': return '%1\r\n$5\r\nproto\r\n:3\r\n'
      case 'info': return '$17\r\nredis_version:7.4\r\n'
      default: return '+OK\r\n'
    }
  }

  const server = net.createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    let buffered = ''
    socket.on('data', (chunk) => {
      buffered += chunk.toString()
      for (;;) {
        const count = /^\*(\d+)\r\n/.exec(buffered)
        if (!count) return
        let rest = buffered.slice(count[0].length)
        const words: string[] = []
        for (let at = 0; at < Number(count[1]); at++) {
          const size = /^\$(\d+)\r\n/.exec(rest)
          if (!size || rest.length < size[0].length + Number(size[1]) + 2) return
          words.push(rest.slice(size[0].length, size[0].length + Number(size[1])))
          rest = rest.slice(size[0].length + Number(size[1]) + 2)
        }
        buffered = rest
        if (state.answering) socket.write(run(words))
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const stop = () => new Promise<void>((resolve) => {
    for (const socket of sockets) socket.destroy()
    server.close(() => resolve())
  })
  t.teardown(stop)
  return { state, stop, port: (server.address() as net.AddressInfo).port }
}

const headers = bearer(hs256(claims()))

/** Waits until a condition holds. */
async function until (condition: () => boolean | Promise<boolean>) {
  const patience = performance.now() + 10_000
  while (!await condition() && performance.now() < patience) await new Promise((resolve) => setTimeout(resolve, 20))
}

async function build (t: Test, port: number) {
  const { app, lines } = await buildEdge(t, { RATE_LIMIT_PER_MINUTE: '5', REDIS_URL: `redis://127.0.0.1:${port}` })
  return { app, lines, get: () => app.inject({ url: '/me', headers }) }
}

/** Resolves once the replica counts in Redis; somebody else's requests ask. */
async function connected ({ app }: Pick<Awaited<ReturnType<typeof build>>, 'app'>, { counters }: { counters: Map<string, number> }) {
  await until(async () => {
    await app.inject({ url: '/me', headers: bearer(hs256(claims({ sub: 'probe' }))) })
    return counters.size > 0
  })
  counters.clear()
}

t.test('replicas count together', async (t) => {
  const { state, port } = await listenRedis(t)
  const one = await build(t, port)
  const two = await build(t, port)
  for (const app of [one, two]) await connected(app, state)

  const remaining = []
  for (const app of [one, two, one, two, one]) remaining.push((await app.get()).headers['ratelimit-remaining'])
  t.strictSame(remaining, ['4', '3', '2', '1', '0'])
  t.equal((await two.get()).statusCode, 429)
  t.strictSame([...state.counters.keys()], ['livekit-sessions:limit:user:user-1'])
})

t.test('failed sign-ins count together, too', async (t) => {
  const { state, port } = await listenRedis(t)
  const { app } = await build(t, port)
  await connected({ app }, state)
  const statuses = []
  for (let round = 0; round < 6; round++) statuses.push((await app.inject({ url: '/me', headers: { authorization: 'Bearer a.b.c' } })).statusCode)
  t.strictSame(statuses, [401, 401, 401, 401, 401, 429])
})

t.test('without Redis each replica counts for itself, and it says so once', async (t) => {
  const { stop, port } = await listenRedis(t)
  await stop()
  const { lines, get } = await build(t, port)
  const statuses = []
  for (let round = 0; round < 5; round++) {
    const before = performance.now()
    statuses.push((await get()).statusCode)
    t.ok(performance.now() - before < 200, 'at once')
  }
  for (let round = 0; round < 2; round++) statuses.push((await get()).statusCode)
  t.strictSame(statuses, [200, 200, 200, 200, 200, 429, 429])
  lines.splice(0, lines.length, ...lines.filter(({ msg }) => msg !== 'request refused'))
  await until(() => lines.length > 0)
  await new Promise((resolve) => setTimeout(resolve, 1200))
  t.match(lines, [{ level: 40, msg: 'Redis is away: each replica counts requests for itself', err: { code: 'ECONNREFUSED' } }])
  t.equal(lines.length, 1)

  await listenRedis(t, port)
  await until(() => lines.length > 1)
  t.match(lines[1], { level: 30, msg: 'Redis is back: replicas count requests together again' })
  t.equal((await get()).headers['ratelimit-remaining'], '4')
})

t.test('a Redis that hangs costs one short wait, not one for each request', async (t) => {
  const { state, port } = await listenRedis(t)
  const { app, get } = await build(t, port)
  await connected({ app }, state)
  state.answering = false
  const before = performance.now()
  const statuses = []
  for (let round = 0; round < 5; round++) statuses.push((await get()).statusCode)
  t.ok(performance.now() - before < 2000, `${Math.round(performance.now() - before)} ms for 5 requests`)
  statuses.push((await get()).statusCode)
  t.strictSame(statuses, [200, 200, 200, 200, 200, 429], 'the limit holds all the same')
})
