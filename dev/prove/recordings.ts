// `npm run prove:recordings`: a recording's life on a real LiveKit with Redis, a real S3-compatible storage and a stand-in of Egress; and what
// happens when Egress is away, slow, full, fails or dies, and when its webhooks are lost. The figure behind each call is how long its start took.
import { freeTcpPort } from '../livekit/livekit.ts'
import { startEgress, type StandInEgress } from '../livekit/egress.ts'
import { joinRoom } from '../livekit/participant.ts'
import { startStorage } from '../storage.ts'
import { startReceiver } from '../webhooks/receiver.ts'
import { claim, closing, neighbourhood, prove, seconds, until } from './proof.ts'
import { startRedis } from './redis.ts'

/** A service that records, with all that this takes. */
async function studio ({ egress: isThere = true, webhooks = true }: { egress?: boolean, webhooks?: boolean } = {}) {
  const port = await freeTcpPort()
  const redis = await startRedis(port)
  closing(async () => { redis.kill() })
  const storage = await startStorage()
  closing(() => storage.stop())
  const place = await neighbourhood({
    env: { RECORDINGS: 'on', VOICE_AGENT_NAME: '', VIDEO_AGENT_NAME: '', RECONCILE_INTERVAL: '2', WEBHOOK_ALLOW_PRIVATE: 'true', ...storage.env },
    webhooks,
    livekit: { config: { redis: { address: `127.0.0.1:${port}` } } }
  })
  let egress: StandInEgress | undefined
  const bring = async () => {
    egress = await startEgress({ redisUrl: `redis://127.0.0.1:${port}`, url: place.livekit.url, apiKey: place.livekit.apiKey, apiSecret: place.livekit.apiSecret })
    closing(() => egress!.stop())
    return egress
  }
  if (isThere) await bring()

  /** A session that is to be recorded, with its user in it. */
  async function session (user: string) {
    const began = performance.now()
    const { body } = await place.call(user, 'POST', '/voice-sessions/start', { recording: true })
    const took = performance.now() - began
    const participant = await joinRoom({ url: place.livekit.url, token: body.token, publish: true })
    const [{ id }] = await place.query('select id from sessions where room_name = $1', [body.room_name])
    const see = async () => (await place.call(user, 'GET', `/sessions/${id}`)).body
    const comesTo = (state: string, limit = 10_000) => until(async () => (await see()).recording.state === state, limit)
    return { id: id as string, room: body.room_name as string, took, participant, see, comesTo, end: () => place.end(user, body.room_name) }
  }
  return { ...place, storage, egress: () => egress!, bring, session }
}

const isLive = async (session: { see: () => Promise<any> }) => (await session.see()).state === 'live'
const told = (events: any[]) => events.map(({ type }) => type).filter((type: string) => type.startsWith('recording.')).join(' ')

await prove({
  async 'A recording\'s life' () {
    const { session, rooms, storage, call, egress } = await studio()
    const receiver = await startReceiver()
    closing(async () => { receiver.stop() })
    const { body } = await call('root', 'POST', '/webhook-endpoints', { url: receiver.url, events: ['session.ended', 'recording.ready'] }, { role: 'admin' })
    receiver.options.secret = body.secret
    const one = await session('alice')
    claim('it is under way while the call is', await one.comesTo('recording') < Infinity, `start ${seconds(one.took)}`)
    const output = egress().asked[0]!
    claim('Egress was asked for sound alone, into an object of this session', output.audioOnly && JSON.stringify(output.toJson()).includes(`recordings/${one.id}.ogg`))
    claim('LiveKit shows the room that it is recorded', (await rooms.listRooms([one.room]))[0]!.activeRecording)
    const { body: status } = await call('alice', 'GET', `/voice-sessions/${one.room}/status`)
    claim('the recorder is counted as nobody', status.participants === 1, `${status.participants} participant`)
    await one.end()
    const ready = await one.comesTo('ready')
    const { recording, events } = await one.see()
    claim('it is ready after the end', ready < Infinity && recording.duration > 0, `${seconds(ready)} after the end, ${recording.duration} s long`)
    const file = await fetch(recording.url)
    claim('the link gives the file', file.status === 200 && (await file.text()).includes(one.room), recording.url.replace(/=[0-9a-f]{16,}/g, '=...'))
    const without = new URL(recording.url)
    without.search = ''
    const expired = recording.url.replace('X-Amz-Expires=900', 'X-Amz-Expires=9000')
    claim('no link, or another than was signed, gives nothing', (await fetch(without)).status === 403 && (await fetch(expired)).status === 403)
    claim('the history tells of it', told(events) === 'recording.started recording.ready', told(events))
    claim('the app\'s backend is told, after the end', await until(() => receiver.received.map(({ body }) => body.type).join(' ') === 'session.ended recording.ready', 5000) < Infinity)
    const { body: seen } = await call('root', 'GET', `/sessions/${one.id}`, undefined, { role: 'admin' })
    claim('an administrator who looks at the session sees the state and no link', seen.recording.state === 'ready' && seen.recording.url === null)
    const refused = await call('eve', 'DELETE', `/sessions/${one.id}/recordings/${one.id}`)
    claim('nobody else deletes it', refused.status === 404)
    await call('alice', 'DELETE', `/sessions/${one.id}/recordings/${one.id}`)
    const gone = await until(async () => (await fetch(recording.url)).status === 404, 10_000)
    claim('deleted by its owner, the file is gone', gone < Infinity, seconds(gone))

    const two = await session('alice')
    await two.comesTo('recording')
    await two.end()
    await two.comesTo('ready')
    const { recording: { url } } = await two.see()
    await call('alice', 'DELETE', '/users/alice/data')
    claim('who erases all that is stored of them erases the file', await until(async () => (await fetch(url)).status === 404, 10_000) < Infinity)
    claim('nothing is left in the storage', (await storage.files()).length === 0)
  },

  async 'Deleted in mid-call' () {
    const { session, call, egress, query } = await studio()
    const one = await session('alice')
    await one.comesTo('recording')
    await call('alice', 'DELETE', `/sessions/${one.id}/recordings/${one.id}`)
    claim('it is not recorded any further', await until(() => egress().recording().length === 0, 10_000) < Infinity)
    claim('what there was is gone', await until(async () => (await query('select 1 from recordings_left')).length === 0, 90_000) < Infinity)
    claim('the call goes on', await isLive(one))
  },

  async 'Egress is away, and comes back' () {
    const { session, bring } = await studio({ egress: false })
    const one = await session('alice')
    claim('the start does not wait for it', one.took < 1000, seconds(one.took))
    claim('the call goes on without it', await until(async () => !await isLive(one), 15_000) === Infinity && (await one.see()).recording.state === 'pending', '15 s')
    await bring()
    const began = await one.comesTo('recording', 40_000)
    claim('it is recorded from when Egress is there', began < Infinity, seconds(began))
    await one.end()
    claim('and ready after the end', await one.comesTo('ready') < Infinity)
  },

  async 'Egress never comes' () {
    const { session } = await studio({ egress: false })
    const one = await session('alice')
    await one.end()
    const gave = await one.comesTo('failed', 60_000)
    const { recording, events } = await one.see()
    claim('the session tells that there is none', gave < Infinity && recording.url === null, `${seconds(gave)} after the end: ${events.at(-1).data.reason}`)
  },

  async 'Egress answers after its caller has gone' () {
    const { session, egress } = await studio()
    egress().control.behaviour = 'is slow'
    const one = await session('alice')
    claim('the start does not wait for it', one.took < 1000, seconds(one.took))
    const began = await one.comesTo('recording', 40_000)
    claim('it is recorded, by one of them', began < Infinity && await until(() => egress().recording().length === 1, 40_000) < Infinity, seconds(began))
    await one.end()
    claim('and ready after the end', await one.comesTo('ready') < Infinity)
  },

  async 'Egress is full' () {
    const { session, egress, service } = await studio()
    egress().control.behaviour = 'is full'
    const one = await session('alice')
    const asked = await until(() => egress().asked.length >= 2, 30_000)
    claim('the call goes on, and it is asked for again', asked < Infinity && await isLive(one), `${egress().asked.length} times`)
    egress().control.behaviour = 'takes it'
    claim('and recorded once there is a place', await one.comesTo('recording', 40_000) < Infinity)
    const metrics = await (await fetch(`${service.url}/metrics`)).text()
    claim('it is counted', /recordings_total\{mode="voice",state="recording"\} 1/.test(metrics))
  },

  async 'Egress fails in mid-call' () {
    const { session, egress, service } = await studio()
    const one = await session('alice')
    await one.comesTo('recording')
    await egress().fail(one.room)
    const failed = await one.comesTo('failed')
    const { state, events } = await one.see()
    claim('the session tells so, and goes on', failed < Infinity && state === 'live', `${seconds(failed)}: ${events.at(-1).data.reason}`)
    const metrics = await (await fetch(`${service.url}/metrics`)).text()
    claim('so does a metric', /recordings_total\{mode="voice",state="failed"\} 1/.test(metrics))
  },

  async 'The upload fails' () {
    const { session, egress } = await studio()
    const one = await session('alice')
    await one.comesTo('recording')
    egress().control.failsToUpload = true
    await one.end()
    claim('the session tells so', await one.comesTo('failed') < Infinity, (await one.see()).events.at(-1).data.reason)
  },

  async 'All webhooks are lost' () {
    const { session } = await studio({ webhooks: false })
    const one = await session('alice')
    const began = await one.comesTo('recording', 60_000)
    claim('LiveKit is asked whether it has begun', began < Infinity, seconds(began))
    await one.end()
    const ready = await one.comesTo('ready', 60_000)
    claim('and whether it is ready', ready < Infinity, seconds(ready))
  }
})
