// Several nodes of one LiveKit: the service goes on with the next one when the one it asked is gone, silent, cut off or not able.
import { Registry } from 'prom-client'
import t, { type Test } from 'tap'
import { startFaultProxy, type Fault } from '../dev/faults/fault-proxy.ts'
import { startTestWorker } from '../dev/livekit/test-worker.ts'
import { createLiveKit } from '../plugins/livekit/client.ts'
import { appFor, databaseFor, environment, eventually, livekitFor, queryFor } from './helper.ts'

const FAILS_OVER_WITHIN = 2500 // ms: 1.5 s of patience with a node that is silent, and the scheduling of a busy machine

/** The app in front of two doors of one LiveKit, each with its own faults. */
async function twoNodes (t: Test) {
  const livekit = await livekitFor(t)
  const worker = await startTestWorker({ url: livekit.url, apiKey: livekit.apiKey, apiSecret: livekit.apiSecret, agentName: 'voice-agent', behaviour: 'accept' })
  t.teardown(() => worker.stop())
  const [first, second] = await Promise.all([1, 2].map(() => startFaultProxy({ target: { host: '127.0.0.1', port: livekit.port } })))
  t.teardown(() => Promise.all([first!.stop(), second!.stop()]))
  const databaseUrl = await databaseFor(t)
  const app = await appFor(t, environment(livekit, databaseUrl, { LIVEKIT_API_URL: `${first!.url}, ${second!.url}` }))
  /** A client that has no connection yet. */
  const freshClient = () => {
    const client = createLiveKit({ urls: [first!.url, second!.url], apiKey: livekit.apiKey, apiSecret: livekit.apiSecret, metrics: new Registry() })
    t.teardown(() => client.close())
    return client
  }
  return { app, freshClient, first: first!, second: second!, query: await queryFor(t, databaseUrl) }
}

const unable: Fault = { respond: 'HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\r\n{"code":"unavailable","msg":"no"}' }

for (const [what, fault] of Object.entries<Fault>({ 'is gone': 'refuse', 'resets its connections': 'reset', 'is silent': 'hang', 'is cut off': 'halfOpen', 'is not able to': unable })) {
  t.test(`the node that is asked ${what}: the call under way goes on with the other, the next ones begin there, and so back again`, async (t) => {
    const { app, first, second, query } = await twoNodes(t)
    const alice = app.as('alice')
    const { room_name: room } = (await alice.start()).json()

    for (const [failing, other] of [[first, second], [second, first]] as const) {
      await other.fault()
      await failing.fault(fault)
      const began = performance.now()
      const started = await alice.start()
      const took = performance.now() - began
      t.equal(started.statusCode, 200)
      t.ok(took < FAILS_OVER_WITHIN, `${Math.round(took)} ms`)
      const repeated = app.logs.filter((line) => line.msg === 'call to LiveKit repeated').length
      t.equal((await alice.status(room)).statusCode, 200)
      t.equal((await alice.end(started.json().room_name)).statusCode, 200)
      t.equal(app.logs.filter((line) => line.msg === 'call to LiveKit repeated').length, repeated, 'nobody asks the failing one again')
    }
    t.equal((await alice.active()).json().sessions.length, 1)
    t.equal((await alice.end(room)).statusCode, 200)
    t.same(await query('select state, end_reason, count(*)::int from sessions group by 1, 2'), [{ state: 'ended', end_reason: 'user', count: 3 }])
    t.same(app.logs.filter((line) => line.level >= 50), [])
  })
}

t.test('with every node gone it is an outage like any other, and the first that is back serves', async (t) => {
  const { app, first, second } = await twoNodes(t)
  const alice = app.as('alice')
  await Promise.all([first.fault('refuse'), second.fault('refuse')])
  t.equal((await alice.start()).statusCode, 500)
  await second.fault()
  await eventually(async () => (await alice.start()).statusCode === 200, 2000)
})

t.test('an agent is sent for through the other node when the first could not be reached, and once only when one may have heard it', async (t) => {
  const { app, freshClient, first, second } = await twoNodes(t)
  const { room_name: room } = (await app.as('alice').start()).json()
  await first.fault('refuse')
  const fresh = freshClient()
  const dispatches = async () => (await app.livekit.listDispatches(room)).length
  await fresh.createDispatch(room, 'voice-agent', '{}')
  t.equal(await dispatches(), 2, 'that of the start, and this one')

  await first.fault()
  await second.fault('mute', /CreateDispatch/)
  await t.rejects(fresh.createDispatch(room, 'voice-agent', '{}'), { code: 'LIVEKIT_FAILED', message: /./ })
  await second.fault()
  await eventually(async () => await dispatches() >= 3)
  t.equal(await dispatches(), 3)
})

t.test('what one node may have done and the other could not be asked about is not taken for undone', async (t) => {
  const { freshClient, first, second } = await twoNodes(t)
  const fresh = freshClient()
  const room = { name: 'fitness-voice-alice-0', metadata: '{}', emptyTimeout: 300, departureTimeout: 60, maxParticipants: 2, agentName: '', agentMetadata: '' }
  await second.fault('refuse')
  await first.fault('mute', /CreateRoom/)
  const error = await fresh.createRoom(room).catch((error) => error)
  t.match(error, { code: 'LIVEKIT_FAILED', outcome: 'unknown' })
  await first.fault()
  t.equal((await fresh.standing([{ name: room.name, sid: null }])).size, 1, 'it was done')

  await Promise.all([first.fault('refuse'), second.fault('refuse')])
  t.match(await freshClient().createRoom({ ...room, name: 'another' }).catch((error) => error), { outcome: 'not_sent' })
})
