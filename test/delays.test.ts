// The stories of voice and video with webhooks on, workers that join at once, and each statement and each call held up in turn.
import { RoomServiceClient } from 'livekit-server-sdk'
import t from 'tap'
import { startFaultProxy } from '../dev/faults/fault-proxy.ts'
import { freeTcpPort } from '../dev/livekit/livekit.ts'
import { startTestWorker } from '../dev/livekit/test-worker.ts'
import { appFor, databaseFor, environment, eventually, livekitFor, queryFor } from './helper.ts'

const DELAYS = [50, 500]
const points: Record<'postgres' | 'livekit', Array<RegExp>> = {
  // /^[PQ]/ is how each statement begins on the wire, /^/ is each call
  postgres: [/^[PQ]/, /insert into sessions/, /set state = 'live'/, /as version/, /insert into participants/, /insert into session_events/, /skip locked/, /unnest/, /where room_name = \$1/, /user_id = \$1 and mode = \$2/, /set state = 'ending'/, /set state = 'ended'/],
  livekit: [/^/, /CreateRoom/, /ListParticipants/, /ListRooms/, /ListDispatch/, /DeleteRoom/]
}

const port = await freeTcpPort()
const livekit = await livekitFor(t, { webhookUrl: `http://127.0.0.1:${port}/api/v1/livekit/webhook` })
const databaseUrl = new URL(await databaseFor(t))
const proxies = {
  postgres: await startFaultProxy({ target: { host: databaseUrl.hostname, port: Number(databaseUrl.port) } }),
  livekit: await startFaultProxy({ target: { host: '127.0.0.1', port: livekit.port } })
}
const viaProxy = new URL(databaseUrl)
viaProxy.port = String(proxies.postgres.port)
const app = await appFor(t, environment(livekit, viaProxy.href, { LIVEKIT_API_URL: proxies.livekit.url, PORT: String(port), VIDEO_DISPATCH_TIMEOUT: '7' }))
await app.listen({ host: '127.0.0.1', port })
const query = await queryFor(t, databaseUrl.href)
const rooms = new RoomServiceClient(livekit.url, livekit.apiKey, livekit.apiSecret)
for (const agentName of ['voice-agent', 'avatar-agent']) {
  const worker = await startTestWorker({ url: livekit.url, apiKey: livekit.apiKey, apiSecret: livekit.apiSecret, agentName, behaviour: 'accept' })
  t.teardown(() => worker.stop())
}
t.teardown(() => Promise.all([proxies.postgres.stop(), proxies.livekit.stop()]))
const { id: category } = (await app.as('root', { role: 'admin' }).inject({ method: 'POST', url: '/api/v1/counselor-categories', payload: { name: 'Stress' } })).json()
let users = 0

async function story (mode: 'voice' | 'video') {
  const base = mode === 'voice' ? '/api/v1/voice-sessions' : '/api/v1/video'
  const user = app.as(`user-${++users}`)
  const said: Array<[string, number]> = []
  const call = async (method: 'GET' | 'POST' | 'DELETE', path: string, payload?: object) => {
    const response = await user.inject({ method, url: `${base}${path}`, ...(payload && { payload }) })
    said.push([`${method} ${path.replace(/[^/]+-[0-9a-f-]{32,}/, ':room')}`, response.statusCode])
    return response.json()
  }
  const { room_name: room } = mode === 'voice' ? await call('POST', '/start', {}) : await call('POST', '/create-room', { counselor_category: category })
  const status = async () => (await call('GET', `/${room}/status`)).agent_connected
  if (!await status()) await eventually(status, 5000)
  const { sessions } = await call('GET', '/active')
  await call('POST', `/${room}/token`)
  await call('DELETE', `/${room}`)
  await call('GET', `/${room}/status`)
  return { room, listed: sessions?.length, said: said.filter(([what, status], n) => n === 0 || `${what} ${status}` !== said[n - 1]!.join(' ')) }
}

const told = (mode: 'voice' | 'video') => [
  [mode === 'voice' ? 'POST /start' : 'POST /create-room', 200],
  ['GET /:room/status', 200],
  ['GET /active', 200],
  ['POST /:room/token', 200],
  ['DELETE /:room', 200],
  ['GET /:room/status', 404]
]

for (const [at, whens] of Object.entries(points) as Array<[keyof typeof points, RegExp[]]>) {
  for (const when of whens) {
    for (const delay of whens.indexOf(when) === 0 && at === 'postgres' ? [0, ...DELAYS] : DELAYS) {
      t.test(`${delay} ms before ${when.source} on its way to ${at}`, { timeout: 60_000 }, async (t) => {
        await proxies[at].fault({ delay }, when)
        const [voice, video] = await Promise.all([story('voice'), story('video')])
        await proxies[at].fault()
        t.strictSame([voice.said, video.said, voice.listed, video.listed], [told('voice'), told('video'), 1, 1])
        const both = [voice.room, video.room]
        t.same(await query('select state, end_reason from sessions where room_name = any($1)', [both]), [{ state: 'ended', end_reason: 'user' }, { state: 'ended', end_reason: 'user' }])
        const events = () => query(`
          select type, count(*)::int from session_events e join sessions s on s.id = e.session_id
           where room_name = any($1) and type in ('session.started', 'session.ended', 'agent.joined', 'agent.dispatched') group by type order by type`, [both])
        await eventually(async () => (await events()).reduce((sum, { count }) => sum + count, 0) === 6) // webhooks are held up as well
        t.same(await events(), [{ type: 'agent.joined', count: 2 }, { type: 'session.ended', count: 2 }, { type: 'session.started', count: 2 }], 'each once, and no agent was sent for twice')
        t.same(await rooms.listRooms(both), [])
      })
    }
  }
}
