// `npm run prove:ingress`: streams by RTMP (GStreamer) and WHIP (Chromium) through a real LiveKit Ingress into a session's room, on a real LiveKit
// with Redis; what is left when the session ends, the user leaves, the Ingress dies, LiveKit or Redis is away, or the service is killed between two steps.
import { IngressClient } from 'livekit-server-sdk'
import { ParticipantInfo_Kind as Kind, ParticipantInfo_State as State } from '@livekit/protocol'
import { pushRtmp, pushWhip, startIngress, type Pusher, type RunningIngress } from '../livekit/ingress.ts'
import { freeTcpPort, type LiveKitOptions } from '../livekit/livekit.ts'
import { joinRoom } from '../livekit/participant.ts'
import { claim, closing, neighbourhood, prove, seconds, sleep, until } from './proof.ts'
import { startRedis } from './redis.ts'
import { startService } from './service.ts'

const DEPARTURE = 5 // s: what a session waits for a user who left

/** A service that takes streams in, with all that this takes. */
async function station ({ ingress: isThere = true, webhooks = true, faults = false, redis: hasRedis = true, livekit: options = {} }: { ingress?: boolean, webhooks?: boolean, faults?: boolean, redis?: boolean, livekit?: LiveKitOptions } = {}) {
  const [redisPort, rtmpPort, whipPort] = await Promise.all([freeTcpPort(), freeTcpPort(), freeTcpPort()])
  let redis = hasRedis ? await startRedis(redisPort) : undefined
  closing(async () => { redis?.kill('SIGKILL') })
  const env = { INGRESS: 'on', VOICE_AGENT_NAME: '', VIDEO_AGENT_NAME: '', RECONCILE_INTERVAL: '2', DEPARTURE_TIMEOUT: String(DEPARTURE) }
  const place = await neighbourhood({
    env,
    webhooks,
    faults,
    livekit: {
      ...options,
      config: {
        ...(redis && { redis: { address: `127.0.0.1:${redisPort}` } }),
        ingress: { rtmp_base_url: `rtmp://127.0.0.1:${rtmpPort}/live`, whip_base_url: `http://127.0.0.1:${whipPort}/w` }
      }
    }
  })
  const { livekit } = place
  const client = new IngressClient(livekit.url, livekit.apiKey, livekit.apiSecret)
  let ingress: RunningIngress | undefined
  const bring = async () => {
    ingress = await startIngress({ redis: `127.0.0.1:${redisPort}`, livekit, rtmpPort, whipPort, log: console.log })
    closing(() => ingress!.kill())
  }
  if (isThere) await bring()

  /** A session with its user in it, and what there is to do with its ingress. */
  async function session (user: string, { join = true } = {}) {
    const { room_name: room, token } = await place.start(user)
    const participant = join ? await joinRoom({ url: livekit.url, token, publish: true, killable: true }) : undefined
    const path = `/voice-sessions/${room}`
    const listed = async () => (await client.listIngress({ roomName: room })).length
    const there = async () => (await place.rooms.listParticipants(room).catch(() => []))
    const stream = async () => (await there()).find(({ kind, state }) => kind === Kind.INGRESS && state === State.ACTIVE)
    return {
      room,
      token,
      participant,
      make: (kind: 'rtmp' | 'whip') => place.call(user, 'POST', `${path}/ingress`, { kind }),
      remove: () => place.call(user, 'DELETE', `${path}/ingress`),
      status: () => place.call(user, 'GET', `${path}/status`),
      end: () => place.end(user, room),
      row: async () => (await place.query('select state, end_reason, ingress, ingress_check_at, ended_at from sessions where room_name = $1', [room]))[0],
      listed,
      stream,
      /** How long until both its tracks are there, ms. */
      arrives: (limit = 30_000) => until(async () => (await stream())?.tracks.length === 2, limit),
      isGone: (limit = 30_000) => until(async () => !await stream(), limit),
      roomIsThere: async () => (await place.rooms.listRooms([room])).length > 0
    }
  }
  /** Another process of the service on the same database, in the place of the one that was, or is, killed. */
  let running: { kill: () => Promise<void>, isAlive: () => boolean } = place.service
  const restart = async () => {
    if (running.isAlive()) await running.kill()
    const next = await startService({ ...env, PORT: String(place.service.port), LIVEKIT_URL: place.faults?.livekit.address ?? livekit.url, LIVEKIT_API_KEY: livekit.apiKey, LIVEKIT_API_SECRET: livekit.apiSecret, JWT_SECRET: place.secret, DATABASE_URL: place.faults?.postgres.address ?? place.databaseUrl, LOG_LEVEL: 'warn' })
    closing(() => next.stop())
    running = next
  }
  return { ...place, client, session, bring, restart, ingress: () => ingress!, killRedis: () => redis!.kill('SIGKILL'), bringRedis: async () => { redis = await startRedis(redisPort) } }
}

const pushing = <P extends Pusher>(pusher: P): P => {
  closing(() => pusher.stop())
  return pusher
}
const isCut = (pusher: Pusher, limit = 20_000) => until(() => pusher.isOver(), limit)
const push = (kind: 'rtmp' | 'whip', { url, stream_key: key }: { url: string, stream_key: string }) => kind === 'rtmp' ? pushRtmp(url, key) : pushWhip(url, key)

/** The life of one stream, from the key to the end. */
async function life (kind: 'rtmp' | 'whip', options: Parameters<typeof station>[0] = {}) {
  const { session, service, ingress } = await station(options)
  const one = await session('alice')
  const began = performance.now()
  const { status, body } = await one.make(kind)
  claim('its user gets address and key', status === 201 && body.url.startsWith(kind === 'rtmp' ? 'rtmp://' : 'http://') && body.stream_key.length >= 12, seconds(performance.now() - began))
  const second = await one.make(kind)
  claim('one at a time', second.status === 409 && second.body.type === 'urn:livekit-sessions:problem:ingress-exists')
  const waiting = (await one.status()).body
  claim('it waits for its stream', waiting.ingress.state === 'ready' && !waiting.ingress.live && !JSON.stringify(waiting).includes(body.stream_key))

  const pusher = pushing(await push(kind, body))
  const arrived = await one.arrives()
  const stream = await one.stream()
  claim('the stream is in the room, sound and picture, as a participant of kind INGRESS', arrived < Infinity && stream?.kind === Kind.INGRESS && stream.tracks.length === 2, `${seconds(arrived)} after the push began`)
  if (arrived === Infinity) console.log(pusher.log(), 'states' in pusher ? pusher.states : '', ingress().log())
  const { sound, pictures } = await one.participant!.receive(stream?.identity ?? '', 5000)
  claim('the user in the room hears and sees it', sound > 0 && pictures > 0, `in 5 s ${(sound / 100).toFixed(1)} s of sound, ${pictures} pictures`)
  const { body: now } = await one.status()
  claim('it counts as nobody', now.participants === 1 && !now.agent_connected && now.ingress.live, `${now.participants} participant`)

  const ended = performance.now()
  await one.end()
  const answered = performance.now() - ended
  const gone = await until(async () => await one.listed() === 0, 10_000)
  claim('the session ends: LiveKit has no ingress any more', gone < Infinity, `end answered after ${seconds(answered)}, gone ${seconds(gone)} later`)
  const cut = await isCut(pusher)
  claim('whoever pushes is cut off', cut < Infinity, seconds(cut))
  claim('the record has none', await until(async () => (await one.row()).ingress === null && (await one.row()).ingress_check_at === null, 5000) < Infinity)
  const again = pushing(await push(kind, body))
  const back = await until(async () => await one.roomIsThere() || await one.stream(), 10_000)
  claim('the old key opens nothing: no room comes back', back === Infinity && again.isOver(), '10 s')
  claim('the key is in no log', !service.log().includes(body.stream_key))
}

await prove({
  'A stream by RTMP': () => life('rtmp'),

  'A stream by WHIP': () => life('whip'),

  async 'A server whose rooms come back by themselves (auto_create)' () {
    const { session } = await station({ livekit: { autoCreate: true } })
    const one = await session('alice')
    const { body } = await one.make('rtmp')
    let pusher = pushing(await pushRtmp(body.url, body.stream_key))
    await one.arrives()
    // An encoder that comes again and again.
    let tries = 0
    const until15s = performance.now() + 15_000
    await one.end()
    while (performance.now() < until15s) {
      await Promise.race([pusher.over, sleep(until15s - performance.now())])
      if (!pusher.isOver()) break
      pusher = pushing(await pushRtmp(body.url, body.stream_key))
      tries++
    }
    const isThere = await one.roomIsThere()
    claim('whoever pushes on after the end gets nowhere', !isThere && await one.listed() === 0, `${tries} more ${tries === 1 ? 'push' : 'pushes'} in 15 s, no room after them`)
    const cut = await isCut(pusher, 60_000)
    claim('and is thrown out', cut < Infinity, `${seconds(cut)} later`)
  },

  async 'Deleted, and made anew' () {
    const { session, livekit } = await station()
    const one = await session('alice')
    const { body: first } = await one.make('rtmp')
    const pusher = pushing(await pushRtmp(first.url, first.stream_key))
    await one.arrives()
    const { status } = await one.remove()
    const cut = await isCut(pusher)
    claim('its stream is cut off', status === 200 && cut < Infinity && await one.isGone() < Infinity, seconds(cut))
    claim('deleted twice is deleted', (await one.remove()).status === 200 && await one.listed() === 0)
    const { status: made, body: second } = await one.make('rtmp')
    claim('another one can be made, with another key', made === 201 && second.stream_key !== first.stream_key)
    pushing(await pushRtmp(second.url, second.stream_key))
    claim('and takes a stream', await one.arrives() < Infinity)
    const back = await joinRoom({ url: livekit.url, token: one.token, publish: true })
    claim('its user comes in anew beside it: the room has place for both', (await one.status()).body.participants === 1)
    await back.leave()
  },

  async 'The user leaves, the stream goes on' () {
    const { session } = await station()
    const one = await session('alice')
    const { body } = await one.make('rtmp')
    const pusher = pushing(await pushRtmp(body.url, body.stream_key))
    await one.arrives()
    await one.participant!.leave()
    const over = await until(async () => (await one.row()).state === 'ended', 30_000)
    const row = await one.row()
    claim('the session ends by itself', over < Infinity && row.end_reason === 'idle', `${seconds(over)} after the user left, DEPARTURE_TIMEOUT ${DEPARTURE} s, reason ${row.end_reason}`)
    claim('the stream is cut off, and nothing is left', await isCut(pusher) < Infinity && await until(async () => await one.listed() === 0, 5000) < Infinity && !await one.roomIsThere())
  },

  async 'The same with all webhooks lost, and a user who crashed' () {
    const { session } = await station({ webhooks: false })
    const one = await session('alice')
    const { body } = await one.make('rtmp')
    pushing(await pushRtmp(body.url, body.stream_key))
    await one.arrives()
    await one.participant!.kill()
    const over = await until(async () => (await one.row()).state === 'ended', 60_000)
    claim('the session ends by itself', over < Infinity && (await one.row()).end_reason === 'idle', `${seconds(over)} after the crash, of which LiveKit shows the dead one for some 20 s`)
    claim('nothing is left', await until(async () => await one.listed() === 0, 5000) < Infinity && !await one.roomIsThere())
  },

  async 'Ingress is killed in the middle' () {
    const { session, ingress, bring } = await station()
    const one = await session('alice')
    const { body } = await one.make('rtmp')
    pushing(await pushRtmp(body.url, body.stream_key))
    await one.arrives()
    await ingress().kill()
    const gone = await one.isGone(40_000)
    const { body: now } = await one.status()
    claim('the stream goes, the session stays', gone < Infinity && now.participants === 1 && now.ingress.state === 'ready' && !now.ingress.live, `LiveKit shows it for another ${seconds(gone)}`)
    await bring()
    pushing(await pushRtmp(body.url, body.stream_key))
    const back = await one.arrives()
    claim('with another Ingress the same key works on', back < Infinity, seconds(back))
    await ingress().kill()
    const began = performance.now()
    const { status } = await one.end()
    claim('an end does not wait for a dead Ingress', status === 200 && performance.now() - began < 1000, seconds(performance.now() - began))
    const removed = await until(async () => await one.listed() === 0, 40_000)
    claim('and its ingress is removed all the same', removed < Infinity && await until(async () => (await one.row()).ingress === null, 40_000) < Infinity, seconds(removed))
  },

  async 'LiveKit has no Redis' () {
    const { session } = await station({ redis: false, ingress: false })
    const one = await session('alice')
    const { status, body } = await one.make('rtmp')
    claim('it is said', status === 503 && body.type === 'urn:livekit-sessions:problem:ingress-unavailable', `${status} ${body.detail}`)
    claim('nothing is half made', (await one.row()).ingress === null && (await one.status()).body.ingress === undefined)
    claim('the session ends as any other', (await one.end()).status === 200)
  },

  async 'Redis is away, and comes back' () {
    const { session, killRedis, bringRedis, bring } = await station({ ingress: false })
    const one = await session('alice')
    killRedis()
    const began = performance.now()
    const { status, body } = await one.make('whip')
    claim('it is said, within the time of a request', status === 503 && performance.now() - began < 7500, `${status} ${body.type.split(':').at(-1)} after ${seconds(performance.now() - began)}`)
    await bringRedis()
    const made = await until(async () => (await one.make('rtmp')).status === 201, 30_000)
    claim('and made once it is back', made < Infinity && await one.listed() === 1, seconds(made))
    await bring()
  },

  async 'An answer that is lost' () {
    const { session, faults } = await station({ ingress: false, faults: true })
    const one = await session('alice', { join: false })
    await faults!.livekit.fault('mute', /CreateIngress/)
    const { status } = await one.make('rtmp')
    claim('LiveKit made one, and nobody was told', status === 503 && await one.listed() === 1, `${status}`)
    await faults!.livekit.fault()
    const { status: again } = await one.make('rtmp')
    const left = await until(async () => await one.listed() === 1, 60_000)
    claim('another can be made at once, and the first one is removed', again === 201 && left < Infinity && (await one.row()).ingress === 'ready', seconds(left))
  },

  async 'The service is killed between the steps' () {
    const { session, faults, service, restart } = await station({ ingress: false, faults: true })
    const one = await session('alice', { join: false })
    await faults!.livekit.fault('mute', /CreateIngress/)
    const asked = one.make('rtmp').catch(() => {})
    await until(async () => await one.listed() === 1, 5000)
    await service.kill()
    await asked
    claim('LiveKit has made one when it dies', await one.listed() === 1 && (await one.row()).ingress === 'making')
    await faults!.livekit.fault()
    await restart()
    const gone = await until(async () => await one.listed() === 0 && (await one.row()).ingress === null, 60_000)
    claim('the next one removes it', gone < Infinity, seconds(gone))

    const two = await session('bert', { join: false })
    await two.make('rtmp')
    await faults!.livekit.fault('hang', /DeleteIngress|DeleteRoom/)
    const ended = two.end().catch(() => {})
    await until(async () => (await two.row()).state === 'ending', 5000)
    await restart()
    await ended
    await faults!.livekit.fault()
    const over = await until(async () => (await two.row()).state === 'ended' && await two.listed() === 0 && (await two.row()).ingress === null, 60_000)
    claim('killed in the middle of an end, the same', over < Infinity, seconds(over))
  }
})
