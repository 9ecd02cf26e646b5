// The pass that repairs: what died half-way, what is gone, what is over; and what could not be asked stays as it is (D6).
import { RoomServiceClient } from 'livekit-server-sdk'
import t from 'tap'
import { startFaultProxy } from '../dev/faults/fault-proxy.ts'
import { appFor, databaseFor, environment, livekitFor, movableClock, notFound, problem, queryFor, sameProblem, type TestApp } from './helper.ts'

const livekit = await livekitFor(t)
const proxy = await startFaultProxy({ target: { host: '127.0.0.1', port: livekit.port } })
t.teardown(() => proxy.stop())
const rooms = new RoomServiceClient(livekit.url, livekit.apiKey, livekit.apiSecret)

/** What a pass did, but for how long the rows had waited. */
async function pass (app: TestApp) {
  const { lag: _lag, ...rest } = await app.reconciler.reconcile()
  return rest
}

async function setting (t: Parameters<typeof databaseFor>[0], env: NodeJS.ProcessEnv = {}) {
  const databaseUrl = await databaseFor(t)
  const clock = movableClock()
  const app = await appFor(t, environment(livekit, databaseUrl, { LIVEKIT_API_URL: proxy.url, ...env }), clock)
  const query = await queryFor(t, databaseUrl)
  const states = () => query('select state, end_reason, ended_by from sessions order by created_at, id')
  return { app, clock, query, states, start: async (user: string) => (await app.as(user).start()).json().room_name as string }
}

t.test('a room deleted behind the service\'s back: lost, and its slot is free', async (t) => {
  const { app, clock, states, start } = await setting(t)
  await rooms.deleteRoom(await start('alice'))
  clock.advance(1)
  const other = await start('alice')
  t.same(await pass(app), { checked: 0, corrected: {}, unanswered: 0 }, 'not due yet')
  clock.advance(15_000)
  t.same(await pass(app), { checked: 2, corrected: { lost: 1 }, unanswered: 0 })
  t.same(await states(), [{ state: 'ended', end_reason: 'lost', ended_by: 'service' }, { state: 'live', end_reason: null, ended_by: null }])
  t.equal((await rooms.listRooms([other])).length, 1)
})

t.test('nobody came within the room\'s time: idle', async (t) => {
  const { app, clock, states, start } = await setting(t)
  await rooms.deleteRoom(await start('bert'))
  clock.advance(301_000)
  await app.reconciler.reconcile()
  t.same(await states(), [{ state: 'ended', end_reason: 'idle', ended_by: 'service' }])
})

t.test('a room whose node died is put on a living one, where its time goes on; one that a node holds is left as it is', async (t) => {
  const { app, clock, states, start } = await setting(t)
  const room = await start('carla')
  const standing = async () => (await rooms.listRooms([room])).map(({ sid, emptyTimeout, departureTimeout, metadata }) => ({ sid, emptyTimeout, departureTimeout, metadata }))
  const [before] = await standing()
  const put = () => app.logs.filter(({ msg }) => /no node of LiveKit held the room/.test(msg)).length

  clock.advance(290_000)
  await pass(app)
  clock.advance(15_000)
  t.same(await pass(app), { checked: 1, corrected: {}, unanswered: 0 })
  t.same(await standing(), [before])
  t.equal(put(), 0)

  // What LiveKit says of a room whose node has died, once that is long enough ago.
  await proxy.fault({ respond: 'HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\r\n{"code":"unavailable","msg":"no response from servers"}' }, /SendData/)
  clock.advance(150_000)
  await pass(app)
  t.equal(put(), 0, 'not asked at each look')
  clock.advance(150_000)
  t.same(await pass(app), { checked: 1, corrected: {}, unanswered: 0 })
  t.equal(put(), 1)
  t.same(await standing(), [before], 'a node holds it after all')
  t.same((await states()), [{ state: 'live', end_reason: null, ended_by: null }])
  for (let n = 0; n < 11; n++) t.equal((await app.as('dan').active()).statusCode, 200, 'nothing is held back for it')

  // Gone while it was asked about: it is not made again.
  clock.advance(300_000)
  const gone = rooms.deleteRoom(room)
  await gone
  await pass(app)
  await proxy.fault()
  t.equal(put(), 1)
  t.same(await standing(), [])
  t.same((await states()).map(({ state }: any) => state), ['ended'])
})

t.test('LiveKit that cannot be asked changes nothing, for as long as it takes', async (t) => {
  const { app, clock, query, states, start } = await setting(t)
  const room = await start('carl')
  const before = await states()
  const lookNumber = async () => (await query('select check_no from sessions'))[0].check_no
  for (const fault of ['reset', { respond: 'HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json\r\n\r\n{}' }] as const) {
    await proxy.fault(fault)
    clock.advance(60_000)
    t.same(await pass(app), { checked: 1, corrected: {}, unanswered: 1 })
    t.equal(app.logs.filter((line) => line.level >= 40 && /could not be asked/.test(line.msg)).length, 1)

    const looked = await lookNumber()
    for (let n = 0; n < 5; n++) {
      clock.advance(60_000)
      t.same(await pass(app), { checked: 0, corrected: {}, unanswered: 0 }, 'one question for all, while nothing answers')
    }
    t.equal(await lookNumber(), looked, 'no row is written')
    t.same(await states(), before)
    t.equal(app.logs.filter((line) => line.level >= 40 && /could not be asked/.test(line.msg)).length, 1, 'said once')
    app.logs.length = 0

    await proxy.fault()
    clock.advance(2000)
    await new Promise((resolve) => { setTimeout(resolve, 1000) }) // the circuit
    t.same(await pass(app), { checked: 1, corrected: {}, unanswered: 0 })
  }
  t.equal((await app.as('carl').status(room)).statusCode, 200)
})

t.test('a room that cannot be asked about is asked about later each time, anew once it was or another replica has', async (t) => {
  const { app, clock, query, start } = await setting(t)
  await start('cora')
  const away = () => proxy.fault({ respond: 'HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json\r\n\r\n{}' }, /ListRooms|rtc\/validate/)
  const pauses = async (looks: number, first: number) => {
    await away()
    clock.advance(first)
    const pauses: number[] = []
    for (let n = 0; n < looks; n++) {
      t.match(await pass(app), { checked: 1, unanswered: 1 })
      const [{ next_check_at: at }] = await query('select next_check_at from sessions')
      pauses.push(at.getTime() - clock.now())
      clock.advance(pauses.at(-1)!)
    }
    await proxy.fault()
    return pauses
  }
  t.same(await pauses(3, 15_000), [1000, 2000, 4000])
  t.match(await pass(app), { checked: 1, unanswered: 0 })
  t.same(await pauses(2, 15_000), [1000, 2000])
  await query('update sessions set next_check_at = $1', [new Date(clock.now() + 60_000)])
  clock.advance(59_000)
  t.match(await pass(app), { checked: 0 })
  t.same(await pauses(1, 1000), [1000])
})

t.test('the maximum duration ends a session, with its room', async (t) => {
  const { app, clock, states, start } = await setting(t, { VOICE_MAX_DURATION: '600' })
  const room = await start('dora')
  clock.advance(590_000)
  await app.reconciler.reconcile()
  t.equal((await rooms.listRooms([room])).length, 1)
  clock.advance(15_000)
  await app.reconciler.reconcile()
  t.same(await states(), [{ state: 'ended', end_reason: 'max_duration', ended_by: 'service' }])
  t.same(await rooms.listRooms([room]), [])
})

for (const interval of ['40', '3600']) {
  t.test(`it does so at its second, with a look every ${interval} s, and gives no token after that`, async (t) => {
    const { app, clock, states } = await setting(t, { VOICE_MAX_DURATION: '60', RECONCILE_INTERVAL: interval })
    const key = { 'idempotency-key': 'one' }
    const { room_name: room } = (await app.as('dirk').start({}, key)).json()
    clock.advance(41_000)
    await app.reconciler.reconcile()
    clock.advance(20_000)
    sameProblem(t, await app.as('dirk').inject({ method: 'POST', url: `/api/v1/voice-sessions/${room}/token` }), notFound)
    sameProblem(t, await app.as('dirk').start({}, key), problem(409, 'Conflict', 'started-session-ended', 'The session that this Idempotency-Key started has ended. Use a new key to start another.'))
    t.same(await pass(app), { checked: 1, corrected: { max_duration: 1 }, unanswered: 0 })
    t.same(await states(), [{ state: 'ended', end_reason: 'max_duration', ended_by: 'service' }])
  })
}

t.test('an end that failed is finished, its slot held and its room closed to its owner until then', async (t) => {
  const { app, clock, states, start } = await setting(t, { MAX_SESSIONS_PER_USER: '1' })
  const room = await start('emma')
  await proxy.fault('reset')
  t.equal((await app.as('emma').end(room)).statusCode, 500)
  t.same(await states(), [{ state: 'ending', end_reason: 'user', ended_by: 'user:emma' }])
  await proxy.fault()
  t.equal((await app.as('emma').status(room)).statusCode, 404)
  t.same((await app.as('emma').active()).json(), { sessions: [] })
  t.equal((await app.as('emma').start()).statusCode, 429)
  clock.advance(1000)
  t.same(await pass(app), { checked: 1, corrected: { user: 1 }, unanswered: 0 })
  t.same(await states(), [{ state: 'ended', end_reason: 'user', ended_by: 'user:emma' }])
  t.same(await rooms.listRooms([room]), [])
  t.equal((await app.as('emma').start()).statusCode, 200)
})

t.test('two replicas share the work: each session is looked at once, and rooms of others are never touched', async (t) => {
  const databaseUrl = await databaseFor(t)
  const clock = movableClock()
  const config = environment(livekit, databaseUrl, { MAX_SESSIONS_PER_USER: '100' })
  const [one, two] = [await appFor(t, config, clock), await appFor(t, config, clock)]
  for (let n = 0; n < 40; n++) await one.as('finn').start()
  await rooms.createRoom({ name: 'of-somebody-else' })
  clock.advance(15_000)
  const results = await Promise.all([one.reconciler.reconcile(), two.reconciler.reconcile()])
  t.equal(results[0].checked + results[1].checked, 40)
  t.same([results[0].corrected, results[1].corrected], [{}, {}])
  t.equal((await rooms.listRooms(['of-somebody-else'])).length, 1)
})
