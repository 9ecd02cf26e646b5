// Recordings: asked for at the start, followed by what Egress tells or is asked, had by the owner alone, gone with their session; the call never minds.
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { createAudit } from '../src/sessions/audit.ts'
import { createRecordings, type Egress } from '../src/sessions/recordings.ts'
import type { EgressReport } from '../src/sessions/rooms.ts'
import { appFor, configOf, databaseFor, environment, eventually, livekitFor, movableClock, notFound, notYours, problem, queryFor, sameProblem, webhookOf } from './helper.ts'

const livekit = await livekitFor(t)
const databaseUrl = await databaseFor(t)
const clock = movableClock()
const query = await queryFor(t, databaseUrl)

/** The storage's edge: who asked for what, and what it is answered. `npm run prove:recordings` has a real one. */
const storage = { asked: [] as Array<Pick<IncomingMessage, 'method' | 'url'>>, status: 204 }
const server = createServer((request, response) => {
  storage.asked.push({ method: request.method, url: request.url })
  response.writeHead(storage.status).end()
})
await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
t.teardown(() => new Promise((resolve) => { server.close(resolve) }))
const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

const given = { VOICE_AGENT_NAME: '', RECORDINGS: 'on', S3_ENDPOINT: endpoint, S3_BUCKET: 'calls', S3_ACCESS_KEY: 'recorder', S3_SECRET_KEY: '8d2f60b17ae94c35' }
const app = await appFor(t, environment(livekit, databaseUrl, given), clock)
const admin = app.as('root', { role: 'admin' })

/** Egress as LiveKit would show it: this LiveKit has no Redis, and so no Egress (`npm run prove:recordings` has). */
const studio: { reports: EgressReport[], started: object[], stopped: string[], away: boolean, deaf: boolean, egress: Egress } = {
  reports: [],
  started: [],
  stopped: [],
  away: false,
  deaf: false,
  egress: {
    async start (recording) {
      studio.started.push(recording)
      if (studio.away) throw new Error('no egress')
      const report: EgressReport = { id: `EG_${studio.started.length}`, roomName: recording.roomName, file: recording.file, status: 'starting', startedAt: null, endedAt: null, error: '' }
      studio.reports.push(report)
      return report
    },
    async list (roomName) {
      if (studio.deaf) throw new Error('egress not connected')
      return studio.reports.filter((report) => report.roomName === roomName)
    },
    async stop (id) {
      studio.stopped.push(id)
      const report = studio.reports.find((report) => report.id === id)
      if (report) report.status = 'complete'
    }
  }
}
const recordings = createRecordings({ store: app.recordingStore, sessions: app.sessionStore, egress: studio.egress, isOn: true, files: app.recordingFiles, audit: createAudit({ store: app.sessionStore, clock }), clock, log: app.log, metrics: app.sessionMetrics })
const settle = async (after = 0) => {
  clock.advance(after)
  await recordings.settle()
}

/** The looks at a file that is to be deleted, until nobody can write it any more. */
const forget = async () => { for (const pause of [2000, 4000, 8000, 16_000, 32_000]) await settle(pause) }

t.beforeEach(async () => {
  Object.assign(studio, { reports: [], started: [], stopped: [], away: false, deaf: false })
  Object.assign(storage, { asked: [], status: 204 })
  await query('update sessions set recording_check_at = null')
  await query('delete from recordings_left')
})

/** A session that is to be recorded. */
async function session (user: string, body: object = { recording: true }) {
  const { room_name: room } = (await app.as(user).start(body)).json()
  const [{ id }] = await query('select id from sessions where room_name = $1', [room])
  const see = async (as = app.as(user)) => (await as.inject({ url: `/api/v1/sessions/${id}` })).json()
  const hear = async (status: string, more: object = {}, egressId = 'EG_1') => (await app.inject(await webhookOf(livekit, {
    event: status === 'EGRESS_ACTIVE' ? 'egress_updated' : 'egress_ended',
    id: `EV_${Math.random()}`,
    createdAt: String(Math.floor(clock.now() / 1000)),
    egressInfo: { egressId, roomName: room, status, roomComposite: { roomName: room, file: { filepath: `recordings/${id}.ogg` } }, ...more }
  }))).json()
  const nanoseconds = (at: number) => String(BigInt(at) * 1_000_000n)
  return { id: id as string, room: room as string, see, hear, nanoseconds, end: () => app.as(user).end(room), list: (as = app.as(user)) => as.inject({ url: `/api/v1/sessions/${id}/recordings` }), remove: (as = app.as(user), recording = id) => as.inject({ method: 'DELETE', url: `/api/v1/sessions/${id}/recordings/${recording}` }) }
}
const eventsOf = async (id: string) => (await query('select type, actor, data from session_events where session_id = $1 and type like \'recording.%\' order by id', [id]))

t.test('off by default: a start that asks for one is refused, others are as before', async (t) => {
  const off = await appFor(t, environment(livekit, databaseUrl, { VOICE_AGENT_NAME: '' }))
  sameProblem(t, await off.as('otto').start({ recording: true }), problem(422, 'Unprocessable Entity', 'recordings-off', 'Sessions are not recorded here. Start without a recording.'))
  t.equal((await query('select 1 from sessions where user_id = \'otto\'')).length, 0)
  t.equal((await off.as('otto').start()).statusCode, 200)
  const [{ id }] = await query('select id from sessions where user_id = \'otto\'')
  t.equal((await off.as('otto').inject({ url: `/api/v1/sessions/${id}` })).json().recording, null)
  sameProblem(t, await off.as('otto').inject({ method: 'DELETE', url: `/api/v1/sessions/${id}/recordings/${id}` }), problem(404, 'Not Found', 'recording-not-found', 'This session has no recording'))
})

t.test('what is missing is said at the start', async (t) => {
  const base = environment({ url: 'ws://x', apiKey: 'k', apiSecret: '7f2c19d0b8e64a35910cd7e2f6a8b34c' }, 'postgres://x')
  await t.rejects(configOf({ ...base, RECORDINGS: 'on' }), { message: /S3_BUCKET is required with RECORDINGS; S3_ACCESS_KEY is required with RECORDINGS; S3_SECRET_KEY is required/ })
  await t.rejects(configOf({ ...base, ...given, RECORDINGS: 'yes' }), { message: /RECORDINGS/ })
})

t.test('asked for by the start, and by its retries alike', async (t) => {
  const key = { 'idempotency-key': 'one' }
  const first = (await app.as('rita').start({ recording: true }, key)).json()
  t.equal((await app.as('rita').start({ recording: true }, key)).json().room_name, first.room_name)
  t.match((await app.as('rita').start({}, key)).json(), { type: 'urn:livekit-sessions:problem:idempotency-key-reused' })
})

t.test('from the start to the file: sound alone for voice, told by webhooks in any order', async (t) => {
  const one = await session('alice')
  t.same((await one.see()).recording, { id: one.id, state: 'pending', started_at: null, ended_at: null, duration: null, url: null })
  await settle()
  t.same(studio.started, [{ roomName: one.room, file: `recordings/${one.id}.ogg`, audioOnly: true }])
  await settle()
  t.equal(studio.started.length, 1, 'once')

  const from = clock.now()
  const startedAt = one.nanoseconds(from)
  t.same(await one.hear('EGRESS_ACTIVE', { startedAt }), { outcome: 'applied' })
  await one.hear('EGRESS_ACTIVE', { startedAt })
  t.match((await one.see()).recording, { state: 'recording', started_at: new Date(from).toISOString(), url: null })
  await one.end()
  await one.hear('EGRESS_COMPLETE', { startedAt, endedAt: one.nanoseconds(from + 12_500) })
  await one.hear('EGRESS_ACTIVE', { startedAt })
  const { recording } = await one.see()
  const { pathname, searchParams } = new URL(recording.url)
  t.same({ ...recording, url: pathname }, { id: one.id, state: 'ready', started_at: new Date(from).toISOString(), ended_at: new Date(from + 12_500).toISOString(), duration: 12.5, url: `/calls/recordings/${one.id}.ogg` })
  t.equal(searchParams.get('X-Amz-Expires'), '900')
  t.same((await eventsOf(one.id)).map(({ type }) => type), ['recording.started', 'recording.ready'])

  const other = await session('alice')
  await settle()
  await other.hear('EGRESS_COMPLETE', { startedAt, endedAt: one.nanoseconds(from + 1000) }, 'EG_2')
  await other.hear('EGRESS_ACTIVE', { startedAt }, 'EG_2')
  t.equal((await other.see()).recording.state, 'ready')
  await other.end()
})

t.test('an egress of somebody else in the room is none of it', async (t) => {
  const one = await session('anna')
  await settle()
  await one.hear('EGRESS_FAILED', {}, 'EG_other')
  await one.hear('EGRESS_ACTIVE', { roomComposite: { roomName: one.room, file: { filepath: 'elsewhere.mp4' } } })
  t.equal((await one.see()).recording.state, 'pending')
  await one.end()
})

t.test('the link is for the owner; administrators, on record, ask for the recordings; in no list of sessions is a link', async (t) => {
  const one = await session('bert')
  await settle()
  await one.hear('EGRESS_COMPLETE', { startedAt: one.nanoseconds(1), endedAt: one.nanoseconds(2) })
  t.match((await one.see(admin)).recording, { state: 'ready', url: null })
  t.match((await app.as('bert').inject({ url: '/api/v1/sessions' })).json().sessions[0].recording, { state: 'ready', url: null })
  const { recordings: [recording, ...more] } = (await one.list()).json()
  t.same(more, [])
  t.match(recording, { ...(await one.see(admin)).recording, url: new RegExp(`/calls/recordings/${one.id}\\.ogg\\?.*X-Amz-Expires=900&`) })
  t.match((await one.list(admin)).json(), { recordings: [{ id: one.id, url: String }] })
  sameProblem(t, await one.list(app.as('eve')), notYours)
  sameProblem(t, await one.remove(app.as('eve')), notYours)
  sameProblem(t, await one.remove(undefined, randomUUID()), problem(404, 'Not Found', 'recording-not-found', 'This session has no recording'))
  t.same((await query('select type, actor, data from session_events where session_id = $1 and type in (\'access.denied\', \'admin.read\') order by id', [one.id])), [
    ['admin.read', 'admin:root', 'getSession'], ['admin.read', 'admin:root', 'listRecordings'], ['access.denied', 'user:eve', 'listRecordings'], ['access.denied', 'user:eve', 'deleteRecording']
  ].map(([type, actor, operation]) => ({ type, actor, data: { operation } })))
  await one.end()
  sameProblem(t, await one.remove(app.as('eve')), notFound)
  sameProblem(t, await one.list(app.as('eve')), notFound)
  t.match((await app.as('bert').inject({ url: '/api/v1/users/bert/export' })).json().recordings, [{ session_id: one.id, url: String }])
  t.same((await one.remove(admin)).json(), { status: 'deleted', id: one.id })
  t.match(await eventsOf(one.id), [{ type: 'recording.ready' }, { type: 'recording.deleted', actor: 'admin:root' }])
  await app.as('bert').start()
  const [{ id: plain }] = await query('select id from sessions where user_id = \'bert\' and recording is null')
  t.same((await app.as('bert').inject({ url: `/api/v1/sessions/${plain}/recordings` })).json(), { recordings: [] })
})

t.test('one that fails in mid-call is told of in the session, the log and a metric; the call goes on', async (t) => {
  const one = await session('carl')
  await settle()
  await one.hear('EGRESS_ACTIVE', { startedAt: one.nanoseconds(clock.now()) })
  await one.hear('EGRESS_FAILED', { error: 'disk full' })
  await one.hear('EGRESS_FAILED', { error: 'disk full' })
  Object.assign(studio.reports[0]!, { status: 'failed' })
  await settle()
  t.same(storage.asked, [{ method: 'DELETE', url: `/calls/recordings/${one.id}.ogg` }], 'no half of a file is left')
  t.match(await one.see(), { state: 'live', recording: { state: 'failed', url: null } })
  t.same((await eventsOf(one.id)).at(-1), { type: 'recording.failed', actor: 'service', data: { reason: 'disk full' } })
  t.equal(app.logs.filter(({ msg, sessionId, level }) => msg === 'recording failed' && sessionId === one.id && level === 50).length, 1)
  t.match((await app.inject({ url: '/metrics' })).payload, /recordings_total\{mode="voice",state="failed"\} 1/)
  await one.end()
})

t.test('while Egress is away it is asked for five times, and given up; the call goes on', async (t) => {
  studio.away = true
  const one = await session('dora')
  for (const pause of [0, 2000, 4000, 8000, 16_000]) await settle(pause)
  t.equal(studio.started.length, 5)
  t.equal((await one.see()).recording.state, 'pending')
  await settle(32_000)
  t.equal(studio.started.length, 5)
  t.match(await one.see(), { state: 'live', recording: { state: 'failed' } })
  t.same((await eventsOf(one.id)).at(-1)!.data, { reason: 'no egress took it' })
  await one.end()
})

t.test('this LiveKit has no Egress: a start is as quick and says nothing of it; the boot does', async (t) => {
  await app.recordings.check()
  t.equal(app.logs.filter(({ level, msg }) => level === 40 && msg === 'LiveKit records nothing: it has no Redis, or is away').length, 1)
  const one = await session('doug')
  await app.recordings.settle()
  t.equal((await one.see()).state, 'live')
  t.equal(app.logs.filter(({ msg, sessionId }) => msg === 'recording could not be asked for' && sessionId === one.id).length, 1)
  t.equal((await app.as('doug').status(one.room)).statusCode, 200, 'and LiveKit is asked on')
  await one.end()
})

t.test('a LiveKit that cannot be asked: after five tries it is said that nothing was recorded, and what came of them is removed', async (t) => {
  Object.assign(studio, { away: true, deaf: true })
  const one = await session('dana')
  for (const pause of [0, 2000, 4000, 8000, 16_000]) await settle(pause)
  t.equal((await one.see()).recording.state, 'pending')
  await settle(32_000)
  t.equal(studio.started.length, 1, 'what may have been done is not done again')
  t.match(await one.see(), { state: 'live', recording: { state: 'failed' } })
  t.same((await eventsOf(one.id)).at(-1)!.data, { reason: 'LiveKit cannot be asked about it' })

  // It had taken the first one.
  studio.reports = [{ id: 'EG_1', roomName: one.room, file: `recordings/${one.id}.ogg`, status: 'running', startedAt: new Date(clock.now()), endedAt: null, error: '' }]
  studio.deaf = false
  await settle(2000)
  t.same(studio.stopped, ['EG_1'])
  await settle(4000)
  t.equal(storage.asked.at(-1)!.url, `/calls/recordings/${one.id}.ogg`)
  await forget()
  t.same(await query('select * from recordings_left'), [])
  await one.end()
})

t.test('a LiveKit that cannot be asked about what it records: the file is waited for for a day', async (t) => {
  const one = await session('dean')
  await settle()
  await one.hear('EGRESS_ACTIVE', { startedAt: one.nanoseconds(clock.now()) })
  await one.end()
  studio.deaf = true
  await settle(86_000_000)
  t.equal((await one.see()).recording.state, 'recording')
  await settle(400_000)
  t.equal((await one.see()).recording.state, 'failed')
  // Nobody can be asked who writes it: it is deleted after ten tries all the same.
  for (let n = 0; n < 10; n++) await settle(600_000)
  t.same(await query('select * from recordings_left'), [])
  t.equal(storage.asked.length, 1)
})

t.test('an egress that does not begin is stopped', async (t) => {
  const one = await session('emil')
  await settle()
  await settle(30_000)
  t.same(studio.stopped, ['EG_1'])
  t.match(await one.see(), { state: 'live', recording: { state: 'failed' } })
  await one.end()
})

t.test('an answer that was lost is looked for before it is asked again; of two the first one stays', async (t) => {
  const one = await session('fred')
  const file = `recordings/${one.id}.ogg`
  studio.away = true
  await settle()
  const running = (id: string, at: number): EgressReport => ({ id, roomName: one.room, file, status: 'running', startedAt: new Date(at), endedAt: null, error: '' })
  studio.reports = [running('EG_b', clock.now() + 1000), running('EG_a', clock.now())]
  await settle(2000)
  t.equal(studio.started.length, 1)
  t.same(studio.stopped, ['EG_b'])
  t.same(await query('select recording, recording_egress from sessions where id = $1', [one.id]), [{ recording: 'recording', recording_egress: 'EG_a' }])
  await one.end()
})

t.test('a webhook that was lost is made up for; an egress that does not end with its session is stopped, and given up after a quarter of an hour', async (t) => {
  const one = await session('gina')
  await settle()
  Object.assign(studio.reports[0]!, { status: 'running', startedAt: new Date(clock.now()) })
  await settle(30_000)
  t.equal((await one.see()).recording.state, 'recording')
  await one.end()
  clock.advance(30_000)
  const { stop } = studio.egress
  studio.egress.stop = async (id) => { studio.stopped.push(id) }
  await settle()
  t.same(studio.stopped, ['EG_1'])
  t.equal((await one.see()).recording.state, 'recording')
  await settle(900_000)
  t.equal((await one.see()).recording.state, 'failed')
  studio.egress.stop = stop
})

t.test('a session that ended before its recording began has none', async (t) => {
  const one = await session('hans')
  await one.end()
  await settle()
  t.same(studio.started, [])
  t.same((await eventsOf(one.id)).at(-1)!.data, { reason: 'the session ended before it began' })
})

t.test('deleted by its owner: what writes it is stopped, its file is deleted, again until the storage does', async (t) => {
  const one = await session('iris')
  await settle()
  Object.assign(studio.reports[0]!, { status: 'running' })
  await one.hear('EGRESS_ACTIVE', { startedAt: one.nanoseconds(clock.now()) })
  t.same((await one.remove()).json(), { status: 'deleted', id: one.id })
  t.same((await one.remove()).json(), { status: 'deleted', id: one.id })
  storage.status = 500
  await settle()
  t.same(studio.stopped, ['EG_1'])
  storage.status = 204
  await forget()
  t.same(storage.asked, Array.from({ length: 6 }, () => ({ method: 'DELETE', url: `/calls/recordings/${one.id}.ogg` })))
  t.same(await query('select * from recordings_left'), [])
  await one.hear('EGRESS_COMPLETE', { startedAt: one.nanoseconds(1), endedAt: one.nanoseconds(2) })
  t.match(await one.see(), { state: 'live', recording: { state: 'deleted', url: null } })
  t.equal((await eventsOf(one.id)).filter(({ type }) => type === 'recording.deleted').length, 1)
  await one.end()
})

for (const [what, answer] of Object.entries({ 'is stopped by whoever asked for it': 'comes', 'is stopped by whoever deletes its file, when the answer is lost': 'is lost' })) {
  t.test(`deleted while LiveKit is asked for it, a recording ${what}`, async (t) => {
    const one = await session('ines')
    const { start } = studio.egress
    let take = () => {}
    studio.egress.start = async (recording) => {
      await new Promise<void>((resolve) => { take = resolve })
      const report = await start(recording)
      if (answer === 'is lost') throw new Error('no answer')
      return report
    }
    const asking = recordings.settle()
    await eventually(async () => (await query('select 1 from sessions where id = $1 and recording_asks = 1', [one.id])).length === 1)
    await one.remove()
    await settle() // another replica
    take()
    await asking
    studio.egress.start = start
    await settle(2000)
    t.same(studio.stopped, ['EG_1'])
    await forget()
    t.same(await query('select * from recordings_left'), [])
    t.same(storage.asked.at(-1), { method: 'DELETE', url: `/calls/recordings/${one.id}.ogg` })
    t.equal((await one.see()).recording.state, 'deleted')
    await one.end()
  })
}

t.test('its file goes with its session, whoever deletes that, and with all else of its user', async (t) => {
  const old = await session('jane')
  await old.end()
  await query('update sessions set ended_at = ended_at - interval \'40 days\', next_check_at = null where id = $1', [old.id])
  await app.retention.prune()
  t.match(await query('select file, room_name, user_id from recordings_left'), [{ file: `recordings/${old.id}.ogg`, room_name: old.room, user_id: 'jane' }])
  await settle()
  await forget()

  const one = await session('jane')
  const erase = () => app.as('jane').inject({ method: 'DELETE', url: '/api/v1/users/jane/data' })
  t.same((await erase()).json(), { status: 'erasing' })
  t.match(await query('select file from recordings_left'), [{ file: `recordings/${one.id}.ogg` }])
  await settle()
  await forget()
  await query('update sessions set next_check_at = null where user_id = \'jane\'')
  t.same((await erase()).json(), { status: 'erased' })
  t.same([...new Set(storage.asked.map(({ url }) => url))], [`/calls/recordings/${old.id}.ogg`, `/calls/recordings/${one.id}.ogg`])
  t.same(await query('select * from recordings_left'), [])
})
