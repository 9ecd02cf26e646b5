// Events as they happen: in order and none left out, resumed on any replica, for those they belong to, and no longer than they should.
import { generateKeyPairSync, sign } from 'node:crypto'
import { once } from 'node:events'
import { createServer, get, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { startFaultProxy } from '../dev/faults/fault-proxy.ts'
import { appFor, databaseFor, environment, livekitFor, notFound, notYours, problem, queryFor, sameProblem, unauthorized, userToken, eventually, type TestApp } from './helper.ts'

const livekit = await livekitFor(t)
const databaseUrl = await databaseFor(t)
const query = await queryFor(t, databaseUrl)
const env = environment(livekit, databaseUrl, { MAX_SESSIONS_PER_USER: '50' })
const admin = { role: 'admin' }

async function replica (t: Test, more: NodeJS.ProcessEnv = {}): Promise<{ app: TestApp, address: string }> {
  const app = await appFor(t, { ...env, ...more })
  return { app, address: await app.listen({ host: '127.0.0.1', port: 0 }) }
}
const { app, address } = await replica(t)
// fetch opens connections anew after those that were aborted, says nothing on them, and close() would wait for their timeout.
t.teardown(() => app.server.closeAllConnections())

/** A stream as a client reads it: `next` is the next event with its id, undefined at the end. */
async function open (t: Test, url: string, user: string, { claims = {}, lastEventId, authorization = `Bearer ${userToken(user, { ...claims })}` }: { claims?: object, lastEventId?: string, authorization?: string } = {}) {
  const controller = new AbortController()
  t.teardown(() => controller.abort())
  const response = await fetch(url, { signal: controller.signal, headers: { authorization, ...(lastEventId && { 'last-event-id': lastEventId }) } })
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  return {
    response,
    close: () => controller.abort(),
    async next (): Promise<Record<string, any> | undefined> {
      for (;;) {
        const end = text.indexOf('\n\n')
        if (end >= 0) {
          const message = text.slice(0, end)
          text = text.slice(end + 2)
          const [, id, data] = /^id: (\S+)\ndata: (.*)$/.exec(message) ?? []
          if (id) return { id, ...JSON.parse(data!) }
          continue
        }
        const { value, done } = await reader!.read()
        if (done) return undefined
        text += value
      }
    }
  }
}

async function started (user: string) {
  const { room_name: room } = (await app.as(user).start()).json()
  const [{ id }] = await query('select id from sessions where room_name = $1', [room])
  return { id, room, path: `/api/v1/sessions/${id}/events`, end: () => app.as(user).end(room) }
}

const connections = ({ server }: TestApp) => new Promise<number>((resolve) => { server.getConnections((_error, count) => resolve(count)) })

const note = (id: string | null, n: number) => query('insert into session_events (session_id, at, type, actor, data) values ($1, $2, \'agent.left\', \'livekit\', $3)', [id, new Date(), { n }])

t.test('a session from its beginning, as it happens, until it ends', async (t) => {
  const { id, path, end } = await started('alice')
  const stream = await open(t, address + path, 'alice')
  t.match(Object.fromEntries(stream.response.headers), { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store', 'x-accel-buffering': 'no' })
  const first = await stream.next()
  t.same(first, { id: first!.id, session_id: id, user_id: 'alice', at: first!.at, type: 'session.started', actor: 'user:alice', data: { mode: 'voice', agent_type: 'general' } })
  await note(id, 1)
  t.match(await stream.next(), { type: 'agent.left', data: { n: 1 } })
  await end()
  const last = await stream.next()
  t.match(last, { session_id: id, type: 'session.ended', actor: 'user:alice', data: { reason: 'user' } })
  t.equal(await stream.next(), undefined, 'nothing is to come')

  const again = await open(t, address + path, 'alice')
  t.equal((await again.next())!.id, first!.id, 'what is over can be read again')
  t.equal((await open(t, address + path, 'alice', { lastEventId: last!.id })).response.status, 204, 'a client that has it all is told to stop')
})

t.test('goes on after Last-Event-ID, on another replica', async (t) => {
  const { address: other } = await replica(t)
  const { id, path, end } = await started('bert')
  const stream = await open(t, address + path, 'bert')
  const { id: lastEventId } = (await stream.next())!
  stream.close()
  await note(id, 1)
  const resumed = await open(t, other + path, 'bert', { lastEventId })
  await note(id, 2)
  t.same([(await resumed.next())!.data, (await resumed.next())!.data], [{ n: 1 }, { n: 2 }])
  await end()
  t.match(await resumed.next(), { type: 'session.ended' })
})

t.test('an event whose transaction takes longer than that of a later one is not left out', async (t) => {
  const { id, path } = await started('carl')
  const slow = await queryFor(t, databaseUrl)
  await slow('begin')
  await slow('insert into session_events (session_id, at, type, actor, data) values ($1, $2, \'agent.left\', \'livekit\', \'{"n": 1}\')', [id, new Date()])
  await note(id, 2)
  const stream = await open(t, address + path, 'carl')
  t.match(await stream.next(), { type: 'session.started' })
  await slow('commit')
  t.same([(await stream.next())!.data, (await stream.next())!.data], [{ n: 1 }, { n: 2 }])
})

t.test('more than a page of events arrives whole and in order', async (t) => {
  const { id, path } = await started('dora')
  await query('insert into session_events (session_id, at, type, actor, data) select $1, $2, \'agent.left\', \'livekit\', jsonb_build_object(\'n\', n) from generate_series(1, 1200) n', [id, new Date()])
  const stream = await open(t, address + path, 'dora')
  await stream.next()
  const seen: number[] = []
  while (seen.length < 1200) seen.push((await stream.next())!.data.n)
  t.same(seen, Array.from({ length: 1200 }, (_, n) => n + 1))
})

t.test('for its owner and for administrators', async (t) => {
  const { id, path, end } = await started('emil')
  sameProblem(t, await app.inject({ url: path }), unauthorized)
  sameProblem(t, await app.as('eve').inject({ url: path }), notYours)
  sameProblem(t, await app.as('emil').inject({ url: '/api/v1/sessions/7d1b6c0e-6a3c-4a53-9f6e-0d8f2f6f4f11/events' }), notFound)
  for (const odd of ['x', '1', '1.', '-1.2', '1.2.3', `${'9'.repeat(19)}.1`]) {
    sameProblem(t, await app.as('emil').inject({ url: path, headers: { 'last-event-id': odd } }), problem(400, 'Bad Request', 'bad-event-id', 'The Last-Event-ID is not one of this stream.'))
  }
  const stream = await open(t, address + path, 'root', { claims: admin })
  t.match([await stream.next(), await stream.next(), await stream.next()], [
    { type: 'session.started' },
    { type: 'access.denied', actor: 'user:eve', data: { operation: 'streamSessionEvents' } },
    { type: 'admin.read', actor: 'admin:root', data: { operation: 'streamSessionEvents' } }
  ])
  const { headers, statusCode, body } = await app.as('emil').inject({ method: 'HEAD', url: path })
  t.match([statusCode, headers['content-type'], body], [200, 'text/event-stream; charset=utf-8', ''])
  await end()
  sameProblem(t, await app.as('eve').inject({ url: path }), notFound)
  t.match(await query('select 1 from session_events where session_id = $1 and actor = \'user:eve\'', [id]), [{}], 'the refusals are on record')
})

t.test('everybody\'s events from now on, for administrators only', async (t) => {
  const before = await started('fred')
  const stream = await open(t, `${address}/api/v1/events`, 'root', { claims: admin })
  const { id, end } = await started('gina')
  const seen: any[] = []
  // The youngest that were there before may be told, too; those of other tests go on.
  const until = async (type: string, session: string) => {
    for (;;) {
      const event = await stream.next()
      seen.push(event)
      if (event!.type === type && event!.session_id === session) return event!
    }
  }
  const { id: lastEventId } = await until('session.started', id)
  await end()
  await until('session.ended', id)
  await before.end()
  t.match(await until('session.ended', before.id), { user_id: 'fred' })
  const resumed = await open(t, `${address}/api/v1/events`, 'root', { claims: admin, lastEventId })
  t.match(await resumed.next(), { session_id: id, type: 'session.ended' })

  for (const url of ['/api/v1/events', '/api/v1/overview']) {
    sameProblem(t, await app.inject({ url }), unauthorized)
    sameProblem(t, await app.as('mallory').inject({ url }), problem(403, 'Forbidden', 'admin-only', 'Only an administrator may do this.'))
  }
  t.match(await query('select type, data from session_events where actor in (\'admin:root\', \'user:mallory\') and session_id is null order by id'), [
    { type: 'admin.read', data: { operation: 'streamEvents' } },
    { type: 'access.denied', data: { operation: 'streamEvents' } },
    { type: 'access.denied', data: { operation: 'getOverview' } }
  ])
})

t.test('a user has ten streams at most, and a closed one is free again', async (t) => {
  const { path } = await started('hal')
  const streams = await Promise.all(Array.from({ length: 10 }, () => open(t, address + path, 'hal')))
  t.same(streams.map(({ response }) => response.status), Array(10).fill(200))
  sameProblem(t, await app.as('hal').inject({ url: path }), { ...problem(429, 'Too Many Requests', 'too-many-streams', 'You have too many event streams open. Close one to open another.'), retry_after: 5, limit: 10 })
  streams[0]!.close()
  await eventually(async () => {
    const { response, close } = await open(t, address + path, 'hal')
    close()
    return response.status === 200
  })
})

for (const what of ['its token is looked at', 'the session is looked for'] as const) {
  t.test(`who leaves while ${what} has no place`, async (t) => {
    const url = new URL(databaseUrl)
    const proxy = await startFaultProxy({ target: { host: url.hostname, port: Number(url.port) } })
    const keys = createServer()
    await once(keys.listen(0, '127.0.0.1'), 'listening')
    t.teardown(() => Promise.all([proxy.stop(), keys.close()]))
    const { publicKey, privateKey } = generateKeyPairSync('ed25519')
    const { app, address } = await replica(t, {
      DATABASE_URL: Object.assign(new URL(databaseUrl), { port: String(proxy.port) }).href,
      JWT_SECRET: undefined,
      JWT_JWKS_URL: `http://127.0.0.1:${(keys.address() as AddressInfo).port}`,
      JWT_ISSUER: 'issuer',
      JWT_AUDIENCE: 'app'
    })
    t.teardown(() => app.server.closeAllConnections())
    const { path } = await started('ines')
    const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
    const signed = `${encode({ alg: 'EdDSA', kid: 'key' })}.${encode({ sub: 'ines', email: 'ines@example.com', iss: 'issuer', aud: 'app', exp: Math.floor(Date.now() / 1000) + 600 })}`
    const authorization = `Bearer ${signed}.${sign(null, Buffer.from(signed), privateKey).toString('base64url')}`

    const answers: ServerResponse[] = []
    keys.on('request', (_request, response) => answers.push(response))
    await proxy.fault('hang', /from sessions where id = /)
    const requests = Array.from({ length: 10 }, () => get(address + path, { agent: false, headers: { authorization } }).on('error', () => {}))
    const answered = async () => {
      await eventually(() => answers.length === 1)
      answers[0]!.end(JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'key' }] }))
      await eventually(() => proxy.hits() === 10)
    }
    if (what === 'the session is looked for') await answered()
    else await eventually(() => answers.length === 1)
    await eventually(async () => await connections(app) === 10)
    for (const request of requests) request.destroy()
    await eventually(async () => await connections(app) === 0)
    if (what === 'its token is looked at') await answered()
    await proxy.fault()

    const { response } = await open(t, address + path, 'ines', { authorization })
    t.equal(response.status, 200)
  })
}

t.test('ends when its process is about to stop', async (t) => {
  const { app: leaving, address } = await replica(t)
  const { path } = await started('ivan')
  const draining = await open(t, address + path, 'ivan')
  await draining.next()
  leaving.readiness.drain()
  t.equal(await draining.next(), undefined)

  const other = await replica(t)
  const closing = await open(t, other.address + path, 'ivan')
  await closing.next()
  await other.app.close()
  t.equal(await closing.next(), undefined)
})

t.test('the sessions in numbers', async (t) => {
  const fresh = await replica(t)
  await query('update sessions set state = \'ended\', end_reason = \'lost\', ended_at = $1, next_check_at = null where ended_at is null', [new Date(Date.now() - 7_200_000)])
  await query('update sessions set created_at = created_at - interval \'2 hours\', ended_at = $1', [new Date(Date.now() - 7_200_000)])
  const { id } = await started('judy')
  const { id: other, end } = await started('judy')
  await started('judy')
  await query('update sessions set agent_state = \'joined\', agent_joined_at = created_at + interval \'400 ms\' where id = $1', [id])
  await query('update sessions set agent_state = \'failed\', agent_dispatches = 5 where id = $1', [other])
  await end()
  t.same((await fresh.app.as('root', admin).inject({ url: '/api/v1/overview' })).json(), {
    live: { voice: 2, video: 0 },
    agents: { none: 0, dispatched: 1, joined: 1, left: 0, failed: 0 },
    started: 3,
    start_failed: 0,
    agent_failed: 1,
    ended: 1,
    agent_ms: { median: 400, p95: 400 }
  })
})
