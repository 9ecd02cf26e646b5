// Outgoing webhooks: each change of a session reaches the app's backend, signed, in order, whatever the receivers do.
import t, { type Test } from 'tap'
import { Webhook } from 'standardwebhooks'
import { startReceiver, type ReceiverOptions } from '../dev/webhooks/receiver.ts'
import { appFor, databaseFor, environment, eventually, livekitFor, movableClock, problem, queryFor, sameProblem } from './helper.ts'

const livekit = await livekitFor(t)
const databaseUrl = await databaseFor(t)
const clock = movableClock()
const app = await appFor(t, environment(livekit, databaseUrl, { WEBHOOK_ALLOW_PRIVATE: 'true', VOICE_AGENT_NAME: '' }), clock)
const query = await queryFor(t, databaseUrl)
const admin = app.as('root', { role: 'admin' })
const base = '/api/v1/webhook-endpoints'
const all = ['session.started', 'session.ended', 'agent.joined', 'agent.failed']
const HOUR = 3_600_000

t.afterEach(() => query('delete from webhook_endpoints'))

/** A receiver and its endpoint. */
async function receiverFor (t: Test, options: ReceiverOptions = {}, events = all) {
  const receiver = await startReceiver(options)
  t.teardown(() => receiver.stop())
  const created = (await admin.inject({ method: 'POST', url: base, payload: { url: receiver.url, events } })).json()
  receiver.options.secret = created.secret
  return Object.assign(receiver, {
    id: created.id as string,
    types: () => receiver.received.map(({ body }) => body.type),
    deliveries: async (search = '') => (await admin.inject({ url: `${base}/${created.id}/deliveries${search}` })).json().deliveries as any[]
  })
}

async function conversation (user: string) {
  const { room_name: room } = (await app.as(user).start()).json()
  await app.as(user).end(room)
  return (await query('select id from sessions where room_name = $1', [room]))[0].id as string
}

t.test('a session that starts and ends is told of, whole and signed, in this order, once', async (t) => {
  const receiver = await receiverFor(t)
  const other = await receiverFor(t, {}, ['session.ended'])
  const id = await conversation('alice')
  await app.outbox.deliver()

  const session = (await app.as('alice').inject({ url: `/api/v1/sessions/${id}` })).json()
  const { events: _events, events_cursor: _cursor, usage: _usage, ...record } = session
  t.same(receiver.received.map(({ body }) => body), [
    { type: 'session.started', timestamp: session.created_at, data: { ...record, state: 'live', end_reason: null, ended_at: null } },
    { type: 'session.ended', timestamp: session.ended_at, data: record }
  ])
  t.match(receiver.received[0]!.headers, { 'content-type': 'application/json', 'webhook-id': /^evt_\d+$/, 'webhook-signature': /^v1,[A-Za-z0-9+/=]+$/ })
  t.same(other.types(), ['session.ended'], 'only what it asked for')
  t.equal(other.received[0]!.id, receiver.received[1]!.id, 'one message has one id')
  t.equal(receiver.refused(), 0)

  await app.outbox.deliver()
  t.equal(receiver.received.length, 2)
  t.same((await receiver.deliveries()).map(({ type, state, attempts, status, error, next_attempt_at: next }) => ({ type, state, attempts, status, error, next })), [
    { type: 'session.ended', state: 'delivered', attempts: 1, status: 204, error: null, next: null },
    { type: 'session.started', state: 'delivered', attempts: 1, status: 204, error: null, next: null }
  ])
})

t.test('a start that failed was never told of, and nor is its end', async (t) => {
  const receiver = await receiverFor(t)
  const broken = await appFor(t, environment({ ...livekit, url: 'ws://127.0.0.1:9' }, databaseUrl))
  t.equal((await broken.as('bert').start()).statusCode, 500)
  t.match(await query('select end_reason from sessions where user_id = $1', ['bert']), [{ end_reason: 'start_failed' }])
  await app.outbox.deliver()
  t.same(receiver.received, [])
})

t.test('500 for an hour: tried again with growing pauses, then delivered in order; another endpoint notices nothing', async (t) => {
  let isDown = true
  const receiver = await receiverFor(t, { answer: () => isDown ? 500 : 200 })
  const other = await receiverFor(t)
  await conversation('carl')
  const tries: number[] = []
  for (let minute = 0; minute <= 60; minute++) {
    await app.outbox.deliver()
    if (receiver.received.length > tries.length) tries.push(minute)
    clock.advance(60_000)
  }
  t.match(tries, { length: 6 }, `after 5 s, 30 s, 2, 10 and 30 minutes and what chance adds: ${tries}`)
  t.ok(receiver.types().every((type) => type === 'session.started'), 'what comes after waits')
  t.same(other.types(), ['session.started', 'session.ended'])
  t.match(await receiver.deliveries('?state=pending'), [{ type: 'session.ended', attempts: 0 }, { type: 'session.started', status: 500, error: 'REFUSED' }])
  t.match(app.logs.filter(({ msg, endpointId }) => endpointId === receiver.id && msg === 'webhook not delivered: tried again later')[0], { level: 40, type: 'session.started', attempts: 1, status: 500, reason: 'REFUSED' })

  isDown = false
  clock.advance(2 * HOUR) // the pause that it is in is an hour, and what chance adds
  await app.outbox.deliver()
  t.same(receiver.types().slice(-2), ['session.started', 'session.ended'])
})

t.test('a day of failures: given up, listed, and sent again by an administrator', async (t) => {
  let isDown = true
  const receiver = await receiverFor(t, { answer: () => isDown ? 503 : 200 }, ['session.started'])
  await conversation('dora')
  for (let hour = 0; hour <= 28; hour++) {
    await app.outbox.deliver()
    clock.advance(HOUR)
  }
  const dead = await receiver.deliveries('?state=dead')
  t.match(dead, [{ type: 'session.started', state: 'dead', status: 503, error: 'REFUSED', next_attempt_at: null }])
  const { message_id: message, attempts, attempted_at: last, at } = dead[0]
  t.ok(Date.parse(last) - Date.parse(at) >= 24 * HOUR, 'the last time at the end of the day')
  t.equal(receiver.received.length, attempts)
  t.match(app.logs.find(({ msg }) => msg === 'webhook given up'), { level: 50, type: 'session.started', attempts })

  const retry = `${base}/${receiver.id}/deliveries/${dead[0].id}/retry`
  sameProblem(t, await app.as('dora').inject({ method: 'POST', url: retry }), problem(403, 'Forbidden', 'admin-only', 'Only an administrator may do this.'))
  isDown = false
  t.match((await admin.inject({ method: 'POST', url: retry })).json(), { id: dead[0].id, state: 'pending', attempts })
  await app.outbox.deliver()
  t.match(await receiver.deliveries(), [{ id: dead[0].id, state: 'delivered', attempts: attempts + 1 }])
  t.equal(receiver.received.at(-1)!.id, message)
  sameProblem(t, await admin.inject({ method: 'POST', url: retry }), problem(409, 'Conflict', 'delivery-not-dead', 'This delivery has not been given up.'))
  sameProblem(t, await admin.inject({ method: 'POST', url: `${base}/${receiver.id}/deliveries/999999/retry` }), problem(404, 'Not Found', 'delivery-not-found', 'Delivery not found'))
  t.match(await query('select actor, data from session_events where type = $1', ['delivery.retried']), [{ actor: 'admin:root', data: { endpoint: receiver.id, delivery: dead[0].id } }])
})

t.test('a redirect is not followed', async (t) => {
  const receiver = await receiverFor(t, { answer: () => 302 }, ['session.started'])
  await conversation('emil')
  await app.outbox.deliver()
  t.equal(receiver.received.length, 1)
  t.match(await receiver.deliveries(), [{ state: 'pending', status: 302, error: 'REDIRECTED' }])
})

t.test('an endpoint that hangs holds up nobody else, and a process that stops leaves its messages to the next', async (t) => {
  const hanging = await receiverFor(t, { answer: () => 'hang' }, ['session.started'])
  const other = await receiverFor(t, {}, ['session.started'])
  const second = await appFor(t, environment(livekit, databaseUrl, { WEBHOOK_ALLOW_PRIVATE: 'true', VOICE_AGENT_NAME: '' }), clock)
  for (let n = 0; n < 12; n++) await conversation(`fred-${n}`)
  const underWay = second.outbox.deliver()
  await eventually(() => other.received.length === 12 && hanging.received.length >= 8)
  t.equal(hanging.received.length, 8, 'as many at once as one endpoint may have')
  await second.close()
  await underWay
  t.same(new Set((await hanging.deliveries()).map(({ state, status }) => `${state} ${status}`)), new Set(['pending null']))

  hanging.options.answer = () => 200
  clock.advance(30_000)
  await app.outbox.deliver()
  t.same(new Set((await hanging.deliveries()).map(({ state }) => state)), new Set(['delivered']))
  t.equal(new Set(hanging.received.map(({ id }) => id)).size, 12)
  t.equal(other.received.length, 12)
})

t.test('a new secret: for a day both sign, then only the new one', async (t) => {
  const receiver = await receiverFor(t, {}, ['session.started'])
  const old = receiver.options.secret!
  const rotated = (await admin.inject({ method: 'POST', url: `${base}/${receiver.id}/rotate-secret` })).json()
  t.match(rotated.secret, /^whsec_[A-Za-z0-9+/]{43}=$/)
  t.not(rotated.secret, old)
  t.equal(rotated.old_secret_until, new Date(clock.now() + 24 * HOUR).toISOString())
  await conversation('gina')
  await app.outbox.deliver()
  t.equal(receiver.received.length, 1, 'verified with the old one')
  t.match(receiver.received[0]!.headers['webhook-signature'], /^v1,\S+ v1,\S+$/)
  receiver.options.secret = rotated.secret
  await conversation('gina')
  await app.outbox.deliver()
  t.equal(receiver.received.length, 2, 'and with the new one')

  clock.advance(24 * HOUR)
  await conversation('gina')
  await app.outbox.deliver()
  t.match(receiver.received[2]!.headers['webhook-signature'], /^v1,\S+$/)
  const { headers, body } = receiver.received[2]!
  t.throws(() => new Webhook(old).verify(JSON.stringify(body), headers as Record<string, string>))
})

t.test('a disabled endpoint gets what was written before once it is enabled again, and nothing of the time between', async (t) => {
  const receiver = await receiverFor(t)
  const enable = (enabled: boolean) => admin.inject({ method: 'PATCH', url: `${base}/${receiver.id}`, payload: { enabled } })
  const before = await conversation('hugo')
  await enable(false)
  await conversation('hugo')
  await app.outbox.deliver()
  t.same(receiver.received, [])
  t.match((await enable(true)).json(), { id: receiver.id, enabled: true })
  await app.outbox.deliver()
  t.same(receiver.received.map(({ body }) => [body.type, body.data.id]), [['session.started', before], ['session.ended', before]])
})

t.test('endpoints are for administrators, on record, and their secret is shown once', async (t) => {
  const url = 'https://app.example.com/webhooks'
  for (const [method, path] of [['GET', base], ['POST', base], ['GET', `${base}/7d1b6c0e-6a3c-4a53-9f6e-0d8f2f6f4f11`], ['DELETE', `${base}/7d1b6c0e-6a3c-4a53-9f6e-0d8f2f6f4f11`]] as const) {
    sameProblem(t, await app.as('eve').inject({ method, url: path, ...(method === 'POST' && { payload: { url, events: all } }) }), problem(403, 'Forbidden', 'admin-only', 'Only an administrator may do this.'))
  }
  const response = await admin.inject({ method: 'POST', url: base, payload: { url, events: ['session.ended'], description: 'Billing' } })
  t.equal(response.statusCode, 201)
  const { secret, ...created } = response.json()
  t.match(secret, /^whsec_/)
  t.same(created, { id: created.id, url, events: ['session.ended'], description: 'Billing', enabled: true, old_secret_until: null, created_at: new Date(clock.now()).toISOString(), updated_at: new Date(clock.now()).toISOString() })
  t.same((await admin.inject({ url: base })).json(), { endpoints: [created] })
  t.same((await admin.inject({ url: `${base}/${created.id}` })).json(), created)
  t.same((await admin.inject({ method: 'DELETE', url: `${base}/${created.id}` })).json(), { status: 'deleted', id: created.id })
  sameProblem(t, await admin.inject({ url: `${base}/${created.id}` }), problem(404, 'Not Found', 'endpoint-not-found', 'Webhook endpoint not found'))
  t.same((await query('select type, actor from session_events where data->>\'endpoint\' = $1 order by id', [created.id])), [{ type: 'endpoint.created', actor: 'admin:root' }, { type: 'endpoint.deleted', actor: 'admin:root' }])
  t.notOk(JSON.stringify(app.logs).includes(secret), 'no log line has it')

  for (const payload of [{ url }, { url, events: [] }, { url, events: ['session.paused'] }, { url, events: all, secret: 'mine' }]) {
    t.match((await admin.inject({ method: 'POST', url: base, payload })).json(), { status: 400, type: /validation-failed/ }, JSON.stringify(payload))
  }
  for (let n = 0; n < 20; n++) await admin.inject({ method: 'POST', url: base, payload: { url, events: all } })
  sameProblem(t, await admin.inject({ method: 'POST', url: base, payload: { url, events: all } }), { ...problem(422, 'Unprocessable Entity', 'too-many-endpoints', 'There are as many webhook endpoints as there may be. Delete one to make another.'), limit: 20 })
})

t.test('addresses that are not public are refused unless that is allowed', async (t) => {
  const strict = await appFor(t, environment(livekit, databaseUrl))
  const root = strict.as('root', { role: 'admin' })
  for (const [url, message] of [
    ['http://app.example.com/', 'must begin with https://'],
    ['https://127.0.0.1/', 'must be a public address'],
    ['https://0x7f000001/', 'must be a public address'],
    ['https://[::1]/', 'must be a public address'],
    ['https://169.254.169.254/latest/meta-data', 'must be a public address'],
    ['https://user:secret@app.example.com/', 'must hold no user and no password'],
    ['nonsense', 'must be a URL']
  ]) {
    sameProblem(t, await root.inject({ method: 'POST', url: base, payload: { url, events: all } }), { ...problem(422, 'Unprocessable Entity', 'endpoint-refused', 'Webhooks are not sent to this address.'), errors: [{ in: 'body', path: '/url', message }] })
  }
  // One that was allowed when it was made, and is not any more.
  const receiver = await receiverFor(t, {}, ['session.started'])
  await conversation('ida')
  await strict.outbox.deliver()
  t.same(receiver.received, [])
  t.match(await receiver.deliveries(), [{ state: 'pending', status: null, error: 'ADDRESS_NOT_ALLOWED' }])
})
