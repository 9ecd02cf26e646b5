// What the emulator does beyond the answers that the contract compares.
import { createServer } from 'node:http'
import { type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { RoomAgentDispatch } from '@livekit/protocol'
import { AccessToken, AgentDispatchClient, RoomServiceClient } from 'livekit-server-sdk'
import { startEmulator, type EmulatorOptions } from '../../dev/livekit/emulator/emulator.ts'

const voice = [new RoomAgentDispatch({ agentName: 'voice' })]

t.test('agents come when they are there at the dispatch, not when they turn up later', async (t) => {
  const { emulator, rooms, dispatches } = await start(t, { agents: [], agentDelay: 60 })
  await rooms.createRoom({ name: 'r', agents: voice })
  emulator.setAgents(['voice'])
  await sleep(150)
  t.same(emulator.rooms()[0]!.participants, [])

  await dispatches.createDispatch('r', 'voice')
  await sleep(40)
  t.match(emulator.rooms()[0]!.participants, [{ kind: 'AGENT', state: 'JOINING' }])
  await sleep(80)
  const [agent] = emulator.rooms()[0]!.participants
  t.match(agent, { kind: 'AGENT', state: 'ACTIVE', identity: /^agent-AJ_/, attributes: { 'lk.agent_name': 'voice' } })
  emulator.setAttributes('r', agent!.identity, { avatar: 'ready' })
  t.match(await rooms.listParticipants('r'), [{ attributes: { avatar: 'ready' } }])

  const [, second] = await dispatches.listDispatch('r')
  await dispatches.deleteDispatch(second!.id, 'r')
  t.same(emulator.rooms()[0]!.participants, [], 'a deleted dispatch takes its agent along')
})

t.test('an agent is not sent into a room that was deleted and made again', async (t) => {
  const { emulator, rooms } = await start(t, { agents: ['voice'], agentDelay: 60 })
  await rooms.createRoom({ name: 'r', agents: voice })
  await rooms.deleteRoom('r')
  await rooms.createRoom({ name: 'r' })
  await sleep(120)
  t.match(emulator.rooms(), [{ name: 'r', participants: [] }])
})

t.test('people enter with tokens, are counted, replaced, thrown out', async (t) => {
  const { emulator, rooms } = await start(t)
  t.match(await refusal(() => tokenOf(emulator, 'anna').then(emulator.join)), { status: 404 })
  await rooms.createRoom({ name: 'r', maxParticipants: 1 })
  await emulator.join(await tokenOf(emulator, 'anna'))
  const { sid } = emulator.rooms()[0]!.participants[0]!
  t.match(await refusal(() => emulator.joinUser('r', 'ben')), { status: 500 })
  emulator.joinUser('r', 'anna')
  t.not(emulator.rooms()[0]!.participants[0]!.sid, sid)
  await rooms.removeParticipant('r', 'anna')
  t.same(emulator.rooms()[0]!.participants, [])
  t.match(await refusal(() => emulator.join('nonsense')), { status: 401 })
  t.same(emulator.calls.map(({ method, room }) => `${method} ${room}`), ['CreateRoom r', 'RemoveParticipant r'])
})

t.test('webhooks are repeated after 1 and 2 s while the receiver fails, in order for each room, others pass', async (t) => {
  const { url, seen } = await receiver(t, ({ event, room, attempt }) => room !== 'slow' ? 404 : event === 'room_started' && attempt < 3 ? 503 : 200)
  const { rooms, emulator } = await start(t, { webhookUrl: url })
  await rooms.createRoom({ name: 'slow' })
  emulator.joinUser('slow', 'anna')
  await rooms.createRoom({ name: 'other' })
  await rooms.deleteRoom('other')
  await sleep(500)
  t.same(seen.map(({ room, event }) => `${room} ${event}`).sort(), ['other room_finished', 'other room_started', 'slow room_started'], 'a 404 is not repeated')
  await sleep(3000)
  const slow = seen.filter(({ room }) => room === 'slow')
  t.same(slow.map(({ event }) => event), ['room_started', 'room_started', 'room_started', 'participant_joined'])
  t.equal(new Set(slow.slice(0, 3).map(({ id, authorization }) => id + authorization)).size, 1, 'the same event with the same signature')
  t.same(slow.slice(0, 3).map(({ at }) => Math.round((at - slow[0]!.at) / 1000)), [0, 1, 3])
})

async function start (t: Test, options: EmulatorOptions = {}) {
  const emulator = await startEmulator(options)
  t.teardown(emulator.stop)
  const { url, apiKey, apiSecret } = emulator
  return { emulator, rooms: new RoomServiceClient(url, apiKey, apiSecret), dispatches: new AgentDispatchClient(url, apiKey, apiSecret) }
}

async function refusal (enter: () => void | Promise<void>): Promise<unknown> {
  try {
    await enter()
  } catch (error) {
    return error
  }
}

async function tokenOf ({ apiKey, apiSecret }: { apiKey: string, apiSecret: string }, identity: string): Promise<string> {
  const token = new AccessToken(apiKey, apiSecret, { identity })
  token.addGrant({ roomJoin: true, room: 'r' })
  return token.toJwt()
}

interface Seen { event: string, room: string, id: string, authorization: string | undefined, attempt: number, at: number }

async function receiver (t: Test, answer: (seen: Seen) => number) {
  const seen: Seen[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const { event, room, id } = JSON.parse(body)
    const attempt = seen.filter((one) => one.id === id).length + 1
    const one = { event, room: room.name, id, authorization: request.headers.authorization, attempt, at: Date.now() }
    seen.push(one)
    response.writeHead(answer(one)).end()
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => new Promise((resolve) => { server.close(resolve).closeAllConnections() }))
  return { seen, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` }
}
