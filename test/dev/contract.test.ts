// What the service asks of LiveKit, put to a real server and to the emulator: the answers must be the same.
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { AccessToken, WebhookReceiver, type VideoGrant } from 'livekit-server-sdk'
import { startEmulator } from '../../dev/livekit/emulator/emulator.ts'
import { startLiveKit } from '../../dev/livekit/livekit.ts'
import { joinRoom } from '../../dev/livekit/participant.ts'
import { startTestWorker } from '../../dev/livekit/test-worker.ts'

interface Server {
  url: string
  apiKey: string
  apiSecret: string
}

/** Answers by the name of what was asked, in the order they were asked. */
type Answers = Record<string, unknown>

t.test('rooms and their errors', async (t) => {
  await compare(t, {}, async ({ call, token }, note) => {
    const create = await token({ roomCreate: true })
    const list = await token({ roomList: true })
    const admin = await token({ roomAdmin: true, room: 'r' })
    const adminOfNone = await token({ roomAdmin: true, room: 'none' })
    const room = { name: 'r', metadata: '{"user_id":"u"}', emptyTimeout: 300, departureTimeout: 60, maxParticipants: 2, agents: [{ agentName: 'nobody' }] }

    note('create', await call('RoomService/CreateRoom', room, create))
    note('create again: arguments are ignored', await call('RoomService/CreateRoom', { ...room, metadata: 'other', maxParticipants: 9 }, create))
    note('create with defaults', await call('RoomService/CreateRoom', { name: 'bare', unknown: 1 }, create))
    note('list by name', await call('RoomService/ListRooms', { names: ['r', 'none'] }, list))
    note('list unknown', await call('RoomService/ListRooms', { names: ['none'] }, list))
    const all = await call('RoomService/ListRooms', { names: [] }, list)
    note('no names lists everybody\'s rooms', all.body.rooms.map(({ name }: { name: string }) => name).sort())
    note('participants of an empty room', await call('RoomService/ListParticipants', { room: 'r' }, admin))
    note('participants of a missing room', await call('RoomService/ListParticipants', { room: 'none' }, adminOfNone))
    note('remove a missing participant', await call('RoomService/RemoveParticipant', { room: 'r', identity: 'x' }, admin))
    note('too much metadata', await call('RoomService/CreateRoom', { name: 'big', metadata: 'x'.repeat(524_289) }, create))
    note('a name of 256 bytes', await call('RoomService/CreateRoom', { name: 'é'.repeat(128) }, create))
    note('a name of 257 bytes', await call('RoomService/CreateRoom', { name: 'é'.repeat(128) + 'e' }, create))
    note('no JSON', await call('RoomService/CreateRoom', '{', create))
    note('a wrong type', await call('RoomService/CreateRoom', '{"name":5}', create))
    note('an unknown method', await call('RoomService/Nothing', {}, create))
    note('an unknown service', await call('Nothing/Nothing', {}, create))
    note('delete', await call('RoomService/DeleteRoom', { room: 'r' }, create))
    note('delete again', await call('RoomService/DeleteRoom', { room: 'r' }, create))
    note('it is gone', await call('RoomService/ListRooms', { names: ['r'] }, list))
  })
})

t.test('who may call', async (t) => {
  await compare(t, {}, async ({ call, token }, note) => {
    note('no token', await call('RoomService/CreateRoom', { name: 'r' }))
    note('not a token', await call('RoomService/CreateRoom', { name: 'r' }, 'Bearer nonsense'))
    note('no bearer', await call('RoomService/CreateRoom', { name: 'r' }, 'nonsense'))
    note('wrong secret', await call('RoomService/CreateRoom', { name: 'r' }, await token({ roomCreate: true }, { apiSecret: 'x'.repeat(32) })))
    note('unknown key', await call('RoomService/CreateRoom', { name: 'r' }, await token({ roomCreate: true }, { apiKey: 'unknown' })))
    note('expired', await call('RoomService/CreateRoom', { name: 'r' }, await token({ roomCreate: true }, { ttl: -70 })))
    note('expired within the leeway', await call('RoomService/CreateRoom', { name: 'r' }, await token({ roomCreate: true }, { ttl: -50 })))
    note('create without the grant', await call('RoomService/CreateRoom', { name: 'r' }, await token({ roomList: true })))
    note('list without the grant', await call('RoomService/ListRooms', {}, await token({ roomCreate: true })))
    note('delete without the grant', await call('RoomService/DeleteRoom', { room: 'r' }, await token({ roomAdmin: true, room: 'r' })))
    note('admin of another room', await call('RoomService/ListParticipants', { room: 'r' }, await token({ roomAdmin: true, room: 'q' })))
    note('dispatch, admin of another room', await call('AgentDispatchService/ListDispatch', { room: 'r' }, await token({ roomAdmin: true, room: 'q' })))
  })
})

t.test('the door: may this token join?', async (t) => {
  for (const autoCreate of [false, true]) {
    await compare(t, { autoCreate }, async ({ call, validate, token }, note) => {
      await call('RoomService/CreateRoom', { name: 'r' }, await token({ roomCreate: true }))
      const join = { identity: 'anna' }
      note('a room that exists', await validate(await token({ roomJoin: true, room: 'r' }, join)))
      note('a missing room', await validate(await token({ roomJoin: true, room: 'none' }, join)))
      note('a missing room, and roomCreate', await validate(await token({ roomJoin: true, room: 'none', roomCreate: true }, join)))
      note('wrong secret', await validate(await token({ roomJoin: true, room: 'r' }, { ...join, apiSecret: 'x'.repeat(32) })))
      note('not for joining', await validate(await token({ room: 'r' }, join)))
      note('no token', await validate())
    })
  }
})

t.test('dispatches', async (t) => {
  await compare(t, {}, async ({ call, token }, note) => {
    const admin = await token({ roomAdmin: true, room: 'r' })
    const adminOfNone = await token({ roomAdmin: true, room: 'none' })
    await call('RoomService/CreateRoom', { name: 'r', agents: [{ agentName: 'nobody', metadata: '{"x":1}' }] }, await token({ roomCreate: true }))
    note('of CreateRoom', await call('AgentDispatchService/ListDispatch', { room: 'r' }, admin))
    const made = await call('AgentDispatchService/CreateDispatch', { room: 'r', agentName: 'another', metadata: 'm' }, admin)
    note('create', made)
    note('list one', await call('AgentDispatchService/ListDispatch', { room: 'r', dispatchId: made.body.id }, admin))
    note('list an unknown one', await call('AgentDispatchService/ListDispatch', { room: 'r', dispatchId: 'AD_x' }, admin))
    note('delete', await call('AgentDispatchService/DeleteDispatch', { room: 'r', dispatchId: made.body.id }, admin))
    note('delete again', await call('AgentDispatchService/DeleteDispatch', { room: 'r', dispatchId: made.body.id }, admin))
    const started = Date.now()
    const missing = await Promise.all([
      call('AgentDispatchService/CreateDispatch', { room: 'none', agentName: 'a' }, adminOfNone),
      call('AgentDispatchService/ListDispatch', { room: 'none' }, adminOfNone),
      call('AgentDispatchService/DeleteDispatch', { room: 'none', dispatchId: 'AD_x' }, adminOfNone)
    ])
    note('create, list, delete in a missing room', missing)
    note('after seconds', Math.round((Date.now() - started) / 1000))
  })
  await compare(t, { autoCreate: true }, async ({ call, token }, note) => {
    const admin = await token({ roomAdmin: true, room: 'none' })
    note('create in a missing room, auto_create', await call('AgentDispatchService/CreateDispatch', { room: 'none', agentName: 'a' }, admin))
    const { body } = await call('AgentDispatchService/ListDispatch', { room: 'none' }, admin)
    note('it is there now', body.agent_dispatches.sort((a: Named, b: Named) => a.agent_name < b.agent_name ? -1 : 1))
  })
})

t.test('a session with an agent: participants and webhooks', async (t) => {
  await compare(t, { agent: 'voice' }, async ({ call, token, webhooks, join }, note) => {
    const create = await token({ roomCreate: true })
    const admin = await token({ roomAdmin: true, room: 'r' })
    const participants = async () => {
      const { body } = await call('RoomService/ListParticipants', { room: 'r' }, admin)
      return (body.participants as Person[]).sort((a, b) => a.kind < b.kind ? -1 : 1)
    }
    await call('RoomService/CreateRoom', { name: 'r', metadata: 'm', maxParticipants: 1, agents: [{ agentName: 'voice', metadata: 'job' }] }, create)
    await until(async () => (await participants()).some(({ state }) => state === 'ACTIVE'))
    note('the agent is there', (await participants()).map(read))
    const leave = await join('r', 'anna')
    await until(async () => (await participants()).every(({ state }) => state === 'ACTIVE')) // 3 to 10 ms after the join
    note('so is the user', (await participants()).map(read))
    note('one user is one', await join('r', 'ben').then(() => 'joined', () => 'refused'))
    await leave()
    await until(async () => (await participants()).length === 1)
    note('the agent stays', (await participants()).map(read))
    await call('RoomService/DeleteRoom', { room: 'r' }, create)
    await until(() => webhooks.some(({ event }) => event === 'room_finished'))
    note('webhooks', webhooks.filter(({ event }) => /^(room|participant)_/.test(event)))
  })
})

t.test('rooms that nobody enters close, whatever agents they have', async (t) => {
  await compare(t, { agent: 'voice' }, async ({ call, token, webhooks, join }, note) => {
    const create = await token({ roomCreate: true })
    await call('RoomService/CreateRoom', { name: 'unused', emptyTimeout: 3, agents: [{ agentName: 'voice' }] }, create)
    await call('RoomService/CreateRoom', { name: 'left', departureTimeout: 1 }, create)
    const leave = await join('left', 'anna')
    await until(() => webhooks.some(({ event }) => event === 'room_finished'))
    const { body } = await call('RoomService/ListRooms', { names: ['unused', 'left'] }, await token({ roomList: true }))
    note('one is closed, one is kept', body.rooms.map(({ name }: { name: string }) => name))
    await leave()
    await until(() => webhooks.filter(({ event }) => event === 'room_finished').length === 2)
    note('why they left', webhooks.filter(({ event }) => event === 'participant_left').map(({ room, participant }) => [room, participant]))
  })
})

interface Named { agent_name: string }

interface Person { identity: string, kind: string, state: string, name: string, attributes: Record<string, string> }

const read = ({ identity, kind, state, name, attributes }: Person) => ({ identity: identity.replace(/^agent-AJ_\w{12}$/, 'agent-AJ_'), kind, state, name, attributes })

interface Webhook { event: string, room: unknown, participant: unknown }

type Script = (server: Awaited<ReturnType<typeof client>>, note: (name: string, answer: unknown) => void) => Promise<void>

/** Runs a script against both and compares what it noted. */
async function compare (t: Test, options: { autoCreate?: boolean, agent?: string }, script: Script): Promise<void> {
  const { autoCreate = false, agent } = options
  const run = async (server: Server, webhooks: Webhook[], join: Join): Promise<Answers> => {
    const answers: Answers = {}
    await script(await client(server, webhooks, join), (name, answer) => { answers[name] = timeless(answer) })
    return answers
  }

  const real = async (): Promise<Answers> => {
    const { webhookUrl, webhooks, key } = await receiver(t)
    const server = await startLiveKit({ autoCreate, webhookUrl })
    t.teardown(server.stop)
    key(server)
    if (agent) {
      const worker = await startTestWorker({ ...server, agentName: agent })
      t.teardown(worker.stop)
    }
    return run(server, webhooks, async (token) => {
      const participant = await joinRoom({ url: server.url, token })
      return participant.leave
    })
  }
  const emulated = async (): Promise<Answers> => {
    const { webhookUrl, webhooks, key } = await receiver(t)
    const server = await startEmulator({ autoCreate, webhookUrl, agents: agent ? [agent] : [] })
    t.teardown(server.stop)
    key(server)
    return run(server, webhooks, async (token, room, identity) => {
      await server.join(token)
      return async () => server.leave(room, identity)
    })
  }

  const [expected, found] = await Promise.all([real(), emulated()])
  for (const [name, answer] of Object.entries(expected)) t.same(found[name], answer, autoCreate ? `${name} (auto_create)` : name)
}

type Join = (token: string, room: string, identity: string) => Promise<() => Promise<void>>

async function client ({ url, apiKey, apiSecret }: Server, webhooks: Webhook[], enter: Join) {
  const base = url.replace('ws:', 'http:')
  const token = async (grant: VideoGrant, who: { identity?: string, apiKey?: string, apiSecret?: string, ttl?: number } = {}) => {
    const made = new AccessToken(who.apiKey ?? apiKey, who.apiSecret ?? apiSecret, { identity: who.identity, ttl: who.ttl ?? 60 })
    made.addGrant(grant)
    return `Bearer ${await made.toJwt()}`
  }
  return {
    webhooks,
    token,
    join: async (room: string, identity: string) => enter((await token({ roomJoin: true, room }, { identity })).slice('Bearer '.length), room, identity),
    call: async (method: string, body: object | string, authorization?: string) => answerOf(await fetch(`${base}/twirp/livekit.${method}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(authorization && { authorization }) },
      body: typeof body === 'string' ? body : JSON.stringify(body)
    })),
    validate: async (authorization?: string) => answerOf(await fetch(`${base}/rtc/validate`, { headers: { ...(authorization && { authorization }) } }))
  }
}

async function answerOf (response: Response) {
  const type = response.headers.get('content-type')
  const text = await response.text()
  return { status: response.status, type, body: type === 'application/json' ? JSON.parse(text) : text }
}

/** Takes webhooks and checks their signatures as the service does. */
async function receiver (t: Test) {
  const webhooks: Webhook[] = []
  let signatures: WebhookReceiver
  const server = createServer((request, response) => {
    receive(request).then(() => response.end(), (error) => {
      t.fail('a webhook that cannot be accepted', { found: error })
      response.writeHead(400).end()
    })
  })
  async function receive (request: IncomingMessage) {
    let body = ''
    for await (const chunk of request) body += chunk
    if (request.headers['content-type'] !== 'application/webhook+json') throw new Error(`content-type ${request.headers['content-type']}`)
    const event = await signatures.receive(body, request.headers.authorization)
    if (!/^EV_\w{12}$/.test(event.id) || !event.createdAt) throw new Error('no id, no time')
    const { room, participant } = JSON.parse(body)
    webhooks.push({
      event: event.event,
      room: room && { name: room.name, metadata: room.metadata, sid: room.sid, creationTimeMs: room.creationTimeMs },
      participant: participant && {
        sid: participant.sid,
        identity: participant.identity.replace(/^agent-AJ_\w{12}$/, 'agent-AJ_'),
        kind: participant.kind,
        state: participant.state,
        disconnectReason: participant.disconnectReason,
        attributes: participant.attributes,
        joinedAt: participant.joinedAt
      }
    })
  }
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => new Promise((resolve) => { server.close(resolve).closeAllConnections() }))
  return {
    webhooks,
    webhookUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    key: ({ apiKey, apiSecret }: Server) => { signatures = new WebhookReceiver(apiKey, apiSecret) }
  }
}

/** Replaces what differs from run to run by what it is: ids, times, passwords, tokens. Leaves out nulls. */
function timeless (value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (key, part) => {
    if (part === null) return undefined
    if (typeof part !== 'string') return part
    if (key === 'turn_password') return 'a password'
    return part
      .replace(/\b(RM|PA|AD)_\w{12}\b/g, '$1_')
      .replace(/^\d{10,19}$/, (digits) => `${digits.length} digits`)
      .replace(/^(invalid token: )[\s\S]*/, '$1...')
  }))
}

async function until (look: () => unknown): Promise<void> {
  for (const started = Date.now(); !await look();) {
    if (Date.now() - started > 8000) throw new Error('it did not happen within 8 s')
    await sleep(20)
  }
}
