// Ended means ended (D1): on a server that keeps the door shut, and on one that lets old tokens in.
import { RoomServiceClient } from 'livekit-server-sdk'
import pino from 'pino'
import t from 'tap'
import { joinRoom } from '../dev/livekit/participant.ts'
import { createAutoCreate } from '../src/sessions/auto-create.ts'
import { eventually, listening, movableClock } from './helper.ts'

t.test('auto_create off: the token and the refreshed one open nothing any more', async (t) => {
  const { app, livekit, rooms } = await listening(t)
  t.notOk(app.logs.some((line) => /auto_create/.test(line.msg)))
  const alice = app.as('alice')
  const { room_name: room, token } = (await alice.start()).json()
  const user = await joinRoom({ url: livekit.url, token })
  const refreshed = await user.refreshedToken
  t.equal((await alice.end(room)).statusCode, 200)
  t.equal(await user.disconnected, 'ROOM_DELETED')
  for (const dead of [token, refreshed]) await t.rejects(joinRoom({ url: livekit.url, token: dead }), { message: /404/ })
  t.same(await rooms.listRooms(), [])
})

t.test('20 joins racing 20 ends leave no room', async (t) => {
  const { app, livekit, rooms, query } = await listening(t, { MAX_SESSIONS_PER_USER: '20' })
  const started = []
  for (let n = 0; n < 20; n++) started.push((await app.as('bert').start()).json())
  await (await joinRoom({ url: livekit.url, token: (await app.as('warm').start()).json().token })).leave() // joins take 0.1 s from now on
  await Promise.all(started.map(async ({ room_name: room, token }, n) => {
    joinRoom({ url: livekit.url, token }).catch(() => undefined)
    await new Promise((resolve) => { setTimeout(resolve, n * 8) })
    t.equal((await app.as('bert').end(room)).statusCode, 200)
  }))
  // A revived room is not listed by LiveKit for up to 5 s, and on a busy machine a join may arrive late: it has to be gone soon after it shows.
  await new Promise((resolve) => { setTimeout(resolve, 5500) })
  await eventually(async () => (await rooms.listRooms()).filter((room) => room.name.includes('bert')).length === 0, 10_000)
  t.match(await query('select distinct state from sessions where user_id = \'bert\''), [{ state: 'ended' }])
})

t.test('auto_create on: whoever enters is out again within 2 s, and the service warned once at boot', async (t) => {
  const { app, livekit, rooms, query } = await listening(t, {}, { autoCreate: true })
  t.equal(app.logs.filter((line) => line.level === 40 && /auto_create on/.test(line.msg)).length, 1)
  const carl = app.as('carl')
  const { room_name: room, token } = (await carl.start()).json()
  const user = await joinRoom({ url: livekit.url, token })
  const refreshed = await user.refreshedToken
  await carl.end(room)
  for (const old of [token, refreshed]) {
    // Thrown out, or not even in when its room is deleted again.
    const again = joinRoom({ url: livekit.url, token: old }).then((user) => user.disconnected, () => 'not in')
    await eventually(async () => (await rooms.listRooms()).length > 0, 2000).catch(() => {})
    const entered = Date.now()
    await eventually(async () => (await rooms.listRooms()).length === 0, 2000)
    t.ok(Date.now() - entered < 2000, `${Date.now() - entered} ms`)
    t.match(await again, /ROOM_DELETED|not in/)
  }
  t.equal((await carl.status(room)).statusCode, 404)
  const [row] = await query('select state, end_reason, watch_until - now() > interval \'10 minutes\' as watched, agent_dispatches from sessions')
  t.same(row, { state: 'ended', end_reason: 'user', watched: true, agent_dispatches: 1 }, 'no agent is sent, and the room stays watched')
})

t.test('auto_create on, webhooks lost: the watch finds the revived room', async (t) => {
  const { app, livekit, query } = await listening(t, {}, { autoCreate: true, webhooks: false })
  const rooms = new RoomServiceClient(livekit.url, livekit.apiKey, livekit.apiSecret)
  const { room_name: room } = (await app.as('dora').start()).json()
  await app.as('dora').end(room)
  const next = async () => (await query('select extract(epoch from next_check_at - ended_at)::int as s from sessions'))[0].s
  t.equal(await next(), 1, 'looked at again right after the end')
  await eventually(async () => await next() > 5, 8000)
  await query('update sessions set ended_at = ended_at - interval \'1 minute\', next_check_at = now()')
  const wait = async () => (await query('select extract(epoch from next_check_at - now())::int as s from sessions'))[0].s
  await eventually(async () => await wait() > 50, 3000)
  t.ok(await wait() <= 60, 'later every minute')
  await rooms.createRoom({ name: room })
  await query('update sessions set next_check_at = now()')
  await eventually(async () => (await rooms.listRooms([room])).length === 0)
})

t.test('which of the two it is, is not asked any more after a stop', async (t) => {
  let answer: (on: boolean) => void = () => {}
  const autoCreate = createAutoCreate({ livekit: { autoCreates: () => new Promise((resolve) => { answer = resolve }) }, clock: movableClock(), log: pino({ level: 'silent' }) })
  const found = autoCreate.find()
  autoCreate.stop()
  const timers = t.capture(globalThis, 'setTimeout', setTimeout)
  answer(false)
  await found
  t.same(timers(), [])
})
