// What happens when LiveKit or PostgreSQL is away, slow, silent or wrong: the answers, the log, and the way back.
import { RoomServiceClient } from 'livekit-server-sdk'
import t, { type Test } from 'tap'
import { startFaultProxy, type Fault } from '../dev/faults/fault-proxy.ts'
import { freeTcpPort, startLiveKit } from '../dev/livekit/livekit.ts'
import { startTestWorker } from '../dev/livekit/test-worker.ts'
import { openDatabase } from '../plugins/database/query.ts'
import { movableClock, appFor, databaseFor, environment, eventually, failed, livekitFor, queryFor, sameProblem, unavailable, type TestApp } from './helper.ts'

const DEADLINE = 7500 // what the request's 7 s may take with the scheduling of a busy machine

async function timed<T> (work: Promise<T>) {
  const began = performance.now()
  const result = await work
  return { result, ms: performance.now() - began }
}

const errorsOf = (app: TestApp, requestId: unknown) => app.logs.filter((line) => line.reqId === requestId && line.level >= 50)

t.test('LiveKit killed: generic 500s within the deadline, one ERROR line each, and back a second after a restart', async (t) => {
  const livekit = await startLiveKit()
  t.teardown(() => livekit.stop())
  const databaseUrl = await databaseFor(t)
  const app = await appFor(t, environment(livekit, databaseUrl))
  const query = await queryFor(t, databaseUrl)
  const alice = app.as('alice')
  const { room_name: room } = (await alice.start()).json()
  await livekit.kill()

  for (const [operation, call] of [
    ['startVoiceSession', () => alice.start()],
    ['getVoiceSessionStatus', () => alice.status(room)],
    ['listActiveVoiceSessions', () => alice.active()],
    ['endVoiceSession', () => alice.end(room)]
  ] as const) {
    const { result: response, ms } = await timed(call())
    sameProblem(t, response, failed)
    t.ok(ms < DEADLINE)
    const errors = errorsOf(app, response.headers['x-request-id'])
    t.equal(errors.length, 1, 'one line')
    if (operation !== 'listActiveVoiceSessions') t.match(errors[0]!.roomName, /^fitness-voice-alice-/)
    t.match(errors[0], { level: 50, msg: 'request failed', operation, userId: 'alice', err: { code: 'LIVEKIT_FAILED', cause: { message: /LiveKit did not answer \w+: ECONNREFUSED/ } } })
  }
  t.same(await query('select state, end_reason from sessions order by created_at'), [{ state: 'ending', end_reason: 'user' }, { state: 'ended', end_reason: 'start_failed' }], 'an end that failed stays on record, a start that failed is over')
  t.equal((await app.inject('/readyz')).statusCode, 503)

  await livekit.restart()
  await new Promise((resolve) => { setTimeout(resolve, 1000) })
  t.equal((await alice.start()).statusCode, 200)
  t.equal((await alice.end(room)).statusCode, 200, 'the end is tried again')
  t.match(await query('select state from sessions where room_name = $1', [room]), [{ state: 'ended' }])
  t.match((await app.metrics.getMetricsAsJSON()).find((metric) => metric.name === 'livekit_requests_total')?.values.find((value: any) => value.labels.method === 'CreateRoom' && value.labels.outcome === 'not_sent'), { value: 1 })
})

t.test('a LiveKit that answers wrong, late or not at all', async (t) => {
  const livekit = await livekitFor(t)
  const proxy = await startFaultProxy({ target: { host: '127.0.0.1', port: livekit.port } })
  t.teardown(() => proxy.stop())
  const databaseUrl = await databaseFor(t)
  const query = await queryFor(t, databaseUrl)
  const rooms = new RoomServiceClient(livekit.url, livekit.apiKey, livekit.apiSecret)
  const reallyThere = async (user: string) => (await rooms.listRooms()).filter((room) => room.name.startsWith(`fitness-voice-${user}-`)).length
  const config = environment(livekit, databaseUrl, { LIVEKIT_API_URL: proxy.url })

  const faults: Array<[string, Fault]> = [
    ['hangs', 'hang'],
    ['takes the request and answers nothing', 'mute'],
    ['resets', 'reset'],
    ['answers 500', { respond: 'HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json\r\n\r\n{"code":"internal","msg":"eyJhbGciOiJIUzI1NiJ9.secret.text"}' }],
    ['answers 401 with the token in it', { respond: 'HTTP/1.1 401 Unauthorized\r\ncontent-type: text/plain\r\n\r\ninvalid token: eyJhbGciOiJIUzI1NiJ9.secret.text' }]
  ]
  for (const [what, fault] of faults) {
    t.test(what, async (t) => {
      const app = await appFor(t, config)
      const user = `u${faults.findIndex(([name]) => name === what)}`
      await proxy.fault(fault)
      const { result: response, ms } = await timed(app.as(user).start({}, { 'idempotency-key': 'k' }))
      sameProblem(t, response, failed)
      t.ok(ms < DEADLINE, `${Math.round(ms)} ms`)
      t.equal(errorsOf(app, response.headers['x-request-id']).length, 1)
      t.notMatch(response.body + JSON.stringify(app.logs), /secret\.text/, 'what LiveKit said is passed on to nobody')
      t.match(await query('select state, end_reason from sessions where user_id = $1', [user]), [{ state: 'ended', end_reason: 'start_failed' }], 'it holds neither slot nor key')

      await proxy.fault()
      await eventually(async () => (await app.as(user).start({}, { 'idempotency-key': 'k' })).statusCode === 200, 2000)
      await eventually(async () => {
        await app.reconciler.reconcile()
        return await reallyThere(user) === 1
      }, 10_000) // a room that LiveKit made late is found by one of the looks after the end
      t.equal((await query('select 1 from sessions where user_id = $1 and state <> \'ended\'', [user])).length, 1)
      t.equal(await reallyThere(user), 1, 'no second room is left')
    })
  }

  t.test('slow, but in time: 200', async (t) => {
    const app = await appFor(t, config)
    await proxy.fault({ delay: 600 })
    t.equal((await app.as('slow').start()).statusCode, 200)
    await proxy.fault()
  })

  t.test('a call that failed once is repeated, and that is logged once as a warning', async (t) => {
    const app = await appFor(t, config)
    let refused = false
    const answering = proxy.fault({ respond: 'HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\r\n{"code":"unavailable","msg":"no"}' }, /CreateRoom/)
    await answering
    const watch = setInterval(() => { if (!refused && proxy.hits() > 0) { refused = true; proxy.fault() } }, 1)
    t.teardown(() => clearInterval(watch))
    const response = await app.as('twice').start()
    t.ok([200, 500].includes(response.statusCode))
    t.equal(app.logs.filter((line) => line.msg === 'call to LiveKit repeated' && line.method === 'CreateRoom').length, 1)
  })

  t.test('after ten failures LiveKit is not asked: 503 within 50 ms, with Retry-After', async (t) => {
    const app = await appFor(t, config)
    await proxy.fault('refuse')
    for (let n = 0; n < 10; n++) t.equal((await app.as('broken').active()).statusCode, 200, 'no sessions, nothing to ask')
    for (let n = 0; n < 10; n++) t.equal((await app.as('broken').start()).statusCode, 500)
    const { result: response, ms } = await timed(app.as('broken').start())
    sameProblem(t, response, { ...unavailable, retry_after: 1 })
    t.equal(response.headers['retry-after'], '1')
    t.ok(ms < 50, `${ms} ms`)
    t.equal(errorsOf(app, response.headers['x-request-id']).length, 1)
    await proxy.fault()
    await eventually(async () => (await app.as('broken').start()).statusCode === 200, 2000)
  })
})

t.test('PostgreSQL away, silent or restarted', async (t) => {
  const livekit = await livekitFor(t)
  const databaseUrl = new URL(await databaseFor(t))
  const proxy = await startFaultProxy({ target: { host: databaseUrl.hostname, port: Number(databaseUrl.port) } })
  t.teardown(() => proxy.stop())
  const viaProxy = new URL(databaseUrl)
  viaProxy.port = String(proxy.port)
  const app = await appFor(t, environment(livekit, viaProxy.href))
  const alice = app.as('alice')
  const { room_name: room } = (await alice.start()).json()
  const calls = [() => alice.start(), () => alice.status(room), () => alice.active(), () => alice.end(room)]

  for (const fault of ['refuse', 'reset', 'hang', 'halfOpen'] as const) {
    await proxy.fault(fault)
    for (const call of calls) {
      const { result: response, ms } = await timed(call())
      sameProblem(t, response, { ...unavailable, retry_after: 1 })
      t.ok(ms < DEADLINE, `${fault}: ${Math.round(ms)} ms`)
      t.match(errorsOf(app, response.headers['x-request-id']), [{ err: { code: 'DATABASE_UNAVAILABLE' } }])
    }
    await proxy.fault()
    await eventually(async () => (await alice.status(room)).statusCode === 200, 2000)
  }
  t.equal((await app.inject('/livez')).statusCode, 200)
})

t.test('a database that takes its time: what a request writes besides has no more time than the request', async (t) => {
  const livekit = await livekitFor(t)
  const databaseUrl = new URL(await databaseFor(t))
  const proxy = await startFaultProxy({ target: { host: databaseUrl.hostname, port: Number(databaseUrl.port) } })
  t.teardown(() => proxy.stop())
  const query = await queryFor(t, databaseUrl.href)
  const config = environment(livekit, Object.assign(new URL(databaseUrl), { port: String(proxy.port) }).href)
  const app = await appFor(t, config)
  const rooms = new RoomServiceClient(livekit.url, livekit.apiKey, livekit.apiSecret)
  const { room_name: room } = (await app.as('alice').start()).json()
  await rooms.deleteRoom(room)
  await query('insert into session_events (session_id, user_id, at, type, actor, data) select null, $1, now(), \'access.denied\', $2, \'{}\' from generate_series(1, 5000)', ['alice', 'user:alice'])

  await proxy.fault({ delay: 1500 })
  // The room is gone, which is to be written; each refusal is; thousands of lines are to be deleted.
  for (const call of [() => app.as('alice').status(room), () => app.as('mallory').status(room), () => app.as('alice').inject({ method: 'DELETE', url: '/api/v1/users/alice/data' })]) {
    const { result: response, ms } = await timed(call())
    t.ok([200, 403, 404, 503].includes(response.statusCode), response.body)
    t.ok(ms < DEADLINE + 500, `${Math.round(ms)} ms`)
  }
  await proxy.fault()
})

for (const { what, lost, held } of [
  { what: 'for one statement', lost: /set state = 'live'/, held: false },
  { what: 'until after the answer', lost: /set state = /, held: true }
]) {
  t.test(`the database goes between CreateRoom and the update, ${what}: no token, and the room does not stay`, async (t: Test) => {
    const livekit = await livekitFor(t)
    const databaseUrl = new URL(await databaseFor(t))
    const proxy = await startFaultProxy({ target: { host: databaseUrl.hostname, port: Number(databaseUrl.port) } })
    t.teardown(() => proxy.stop())
    const viaProxy = new URL(databaseUrl)
    viaProxy.port = String(proxy.port)
    const clock = movableClock()
    const app = await appFor(t, environment(livekit, viaProxy.href), clock)
    const query = await queryFor(t, databaseUrl.href)
    const rooms = new RoomServiceClient(livekit.url, livekit.apiKey, livekit.apiSecret)
    const over = { state: 'ended', end_reason: 'start_failed', ended_by: 'service' }

    await proxy.fault('reset', lost)
    sameProblem(t, await app.as('alice').start({}, { 'idempotency-key': 'k' }), { ...unavailable, retry_after: 1 })
    await proxy.fault()
    t.match(await query('select state, end_reason, ended_by from sessions'), [held ? { state: 'starting' } : over])
    t.equal((await rooms.listRooms()).length, held ? 1 : 0)

    clock.advance(11_000)
    await app.reconciler.reconcile()
    t.match(await query('select state from sessions'), [{ state: held ? 'starting' : 'ended' }], 'nobody else\'s before its time, and that of a clock that is behind')
    clock.advance(2000)
    await app.reconciler.reconcile()
    t.match(await query('select state, end_reason, ended_by from sessions'), [over])
    t.same(await rooms.listRooms(), [])
    t.equal((await app.as('alice').start({}, { 'idempotency-key': 'k' })).statusCode, 200, 'slot and key are free')
  })
}

t.test('a PostgreSQL failover in the middle of a hundred starts and their webhooks', { timeout: 120_000 }, async (t: Test) => {
  const port = await freeTcpPort()
  const livekit = await livekitFor(t, { webhookUrl: `http://127.0.0.1:${port}/api/v1/livekit/webhook` })
  const databaseUrl = new URL(await databaseFor(t))
  const proxy = await startFaultProxy({ target: { host: databaseUrl.hostname, port: Number(databaseUrl.port) } })
  t.teardown(() => proxy.stop())
  const viaProxy = new URL(databaseUrl)
  viaProxy.port = String(proxy.port)
  const worker = await startTestWorker({ url: livekit.url, apiKey: livekit.apiKey, apiSecret: livekit.apiSecret, agentName: 'voice-agent' })
  t.teardown(() => worker.stop())
  const clock = movableClock()
  const app = await appFor(t, environment(livekit, viaProxy.href, { PORT: String(port) }), clock)
  await app.listen({ host: '127.0.0.1', port })
  const query = await queryFor(t, databaseUrl.href)
  const rooms = new RoomServiceClient(livekit.url, livekit.apiKey, livekit.apiSecret)

  const failover = (async () => {
    await new Promise((resolve) => { setTimeout(resolve, 400) })
    await proxy.fault('hang')
    await new Promise((resolve) => { setTimeout(resolve, 1200) })
    await proxy.fault('refuse')
    await new Promise((resolve) => { setTimeout(resolve, 800) })
    await proxy.fault()
  })()
  const statuses: number[] = []
  const users = Array.from({ length: 100 }, (_, n) => `user-${n}`).values()
  await Promise.all(Array.from({ length: 10 }, async () => {
    for (const user of users) {
      statuses.push((await app.as(user).start()).statusCode)
      await new Promise((resolve) => { setTimeout(resolve, 200) })
    }
  }))
  await failover
  const count = (status: number) => statuses.filter((one) => one === status).length
  t.equal(count(200) + count(503), 100, JSON.stringify(statuses))
  t.ok(count(200) >= 40, `${count(200)} answered 200`)
  t.ok(count(503) > 0, `${count(503)} answered 503`)
  t.equal((await app.inject('/livez')).statusCode, 200, 'the process lives')
  t.equal((await app.as('after').start()).statusCode, 200)

  // What the failover left half done is whoever looks' once its starter's time is over.
  clock.advance(20_000)
  await app.reconciler.reconcile()
  clock.advance(2000)
  await app.reconciler.reconcile()
  const live = (await query('select room_name from sessions where state = \'live\' order by 1')).map((row) => row.room_name)
  t.same((await rooms.listRooms()).map((room) => room.name).sort(), live, 'rows and rooms agree')
  t.same(await query('select state from sessions where state in (\'starting\', \'ending\')'), [])
  t.ok(live.length > count(200), 'who was answered 200 has a session')
})

t.test('a client that somebody holds when its connection breaks does not end the process', async (t) => {
  const databaseUrl = new URL(await databaseFor(t))
  const proxy = await startFaultProxy({ target: { host: databaseUrl.hostname, port: Number(databaseUrl.port) } })
  t.teardown(() => proxy.stop())
  databaseUrl.port = String(proxy.port)
  const database = openDatabase(databaseUrl.href, () => {})
  t.teardown(() => database.close())
  const slow = database.query('select pg_sleep(1)', [])
  await new Promise((resolve) => { setTimeout(resolve, 100) })
  await proxy.fault('reset')
  const unrepeatable = database.query('insert into nothing values (1)', [])
  await t.rejects(unrepeatable, { code: 'DATABASE_UNAVAILABLE' })
  await proxy.fault()
  await slow.catch((error) => t.match(error, { code: 'DATABASE_UNAVAILABLE' }))
  t.same(await database.query('select 1 as one', []), [{ one: 1 }])
})

t.test('a LiveKit behind a balancer that accepts and resets: failures, never a limit, and room for five afterwards', async (t) => {
  const livekit = await livekitFor(t)
  const proxy = await startFaultProxy({ target: { host: '127.0.0.1', port: livekit.port } })
  t.teardown(() => proxy.stop())
  const databaseUrl = await databaseFor(t)
  const app = await appFor(t, environment(livekit, databaseUrl, { LIVEKIT_API_URL: proxy.url, MAX_SESSIONS_PER_USER: '5', START_LIMIT_PER_MINUTE: '10' }))
  const query = await queryFor(t, databaseUrl)
  await proxy.fault('reset')
  const statuses = []
  for (let n = 0; n < 20; n++) statuses.push((await app.as('alice').start()).statusCode)
  t.ok(statuses.every((status) => status === 500 || status === 503), JSON.stringify(statuses))
  t.same(await query('select state, end_reason, count(*)::int from sessions group by 1, 2'), [{ state: 'ended', end_reason: 'start_failed', count: 20 }])
  await proxy.fault()
  await new Promise((resolve) => { setTimeout(resolve, 1100) }) // the circuit
  for (let n = 0; n < 5; n++) t.equal((await app.as('alice').start()).statusCode, 200)
  t.equal((await app.as('alice').start()).statusCode, 429, 'the limit is what it was')
})
