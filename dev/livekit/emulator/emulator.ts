// A LiveKit server in memory, as far as the service uses one: for machines where no real server can be had. It carries no media.
import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import {
  CreateAgentDispatchRequest, CreateRoomRequest, DeleteAgentDispatchRequest, DeleteRoomRequest, DeleteRoomResponse, DisconnectReason,
  ListAgentDispatchRequest, ListAgentDispatchResponse, ListParticipantsRequest, ListParticipantsResponse, ListRoomsRequest, ListRoomsResponse,
  ParticipantInfo_Kind as Kind, ParticipantInfo_State as State, RemoveParticipantResponse, RoomParticipantIdentity, SendDataRequest, SendDataResponse, WebhookEvent
} from '@livekit/protocol'
import { type VideoGrant } from 'livekit-server-sdk'
import { createVerifier, TextError, TwirpError } from './auth.ts'
import { createRooms, id, seconds } from './rooms.ts'
import { createWebhooks } from './webhooks.ts'

export interface EmulatorOptions {
  /** TCP port on 127.0.0.1; any free one when not given. */
  port?: number
  apiKey?: string
  /** Random when not given. */
  apiSecret?: string
  /** Whether a join or a dispatch creates a missing room. */
  autoCreate?: boolean
  webhookUrl?: string
  /** Names of the agents that come when they are dispatched. */
  agents?: string[]
  /** Milliseconds from a dispatch until its agent is ACTIVE. */
  agentDelay?: number
  /** Milliseconds until a dispatch call about a missing room is answered 503. */
  unavailableDelay?: number
}

export type Emulator = Awaited<ReturnType<typeof startEmulator>>

interface Encodable { toJsonString (options: { emitDefaultValues: boolean, useProtoFieldName: boolean }): string }
interface Call { method: string, room: string, at: number }
interface Rpc { (body: string, grant: VideoGrant | undefined, call: Call): Promise<Encodable> }

/** Starts an emulator on 127.0.0.1; the result has what startLiveKit's has, and the people of its rooms are moved by calling it. */
export async function startEmulator (options: EmulatorOptions = {}) {
  const { apiKey = 'devkey', apiSecret = randomBytes(32).toString('hex'), autoCreate = false, agents = [], agentDelay = 300, unavailableDelay = 3000 } = options
  const calls: Call[] = []
  const webhooks = createWebhooks({ url: options.webhookUrl, apiKey, apiSecret })
  const verify = createVerifier(apiKey, apiSecret)
  const rooms = createRooms({
    agents,
    agentDelay,
    autoCreate,
    unavailableDelay,
    onEvent: (event, room, participant) => webhooks.send(new WebhookEvent({ event, room, participant, id: id('EV_'), createdAt: seconds(Date.now()) }))
  })

  const admin = (grant: VideoGrant, room: string) => grant.roomAdmin === true && grant.room === room
  const rpcs: Record<string, Rpc> = {
    'RoomService/CreateRoom': rpc(CreateRoomRequest, ({ name }) => name, (grant) => grant.roomCreate,
      (request) => rooms.create(request)),
    'RoomService/ListRooms': rpc(ListRoomsRequest, ({ names }) => names.join(), (grant) => grant.roomList,
      ({ names }) => new ListRoomsResponse({ rooms: rooms.list(names) })),
    'RoomService/DeleteRoom': rpc(DeleteRoomRequest, ({ room }) => room, (grant) => grant.roomCreate,
      ({ room }) => { rooms.remove(room); return new DeleteRoomResponse() }),
    'RoomService/ListParticipants': rpc(ListParticipantsRequest, ({ room }) => room, admin,
      ({ room }) => new ListParticipantsResponse({ participants: rooms.participants(room) })),
    'RoomService/SendData': rpc(SendDataRequest, ({ room }) => room, admin,
      ({ room }) => {
        if (!rooms.has(room)) throw new TwirpError(503, 'unavailable', 'no response from servers')
        return new SendDataResponse()
      }),
    'RoomService/RemoveParticipant': rpc(RoomParticipantIdentity, ({ room }) => room, admin,
      ({ room, identity }) => { rooms.leave(room, identity, DisconnectReason.PARTICIPANT_REMOVED); return new RemoveParticipantResponse() }),
    'AgentDispatchService/CreateDispatch': rpc(CreateAgentDispatchRequest, ({ room }) => room, admin,
      (request) => rooms.createDispatch(request)),
    'AgentDispatchService/ListDispatch': rpc(ListAgentDispatchRequest, ({ room }) => room, admin,
      async ({ room, dispatchId }) => new ListAgentDispatchResponse({ agentDispatches: await rooms.listDispatch(room, dispatchId) })),
    'AgentDispatchService/DeleteDispatch': rpc(DeleteAgentDispatchRequest, ({ room }) => room, admin,
      ({ room, dispatchId }) => rooms.deleteDispatch(room, dispatchId))
  }

  /** The order of LiveKit's checks: the token, the path, the body, the grant, the arguments. */
  async function handle (request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://localhost')
    if (url.pathname === '/') return text(response, 200, 'OK')
    const claims = await verify(request.headers.authorization, url.searchParams.get('access_token'))
    if (url.pathname === '/rtc/validate') {
      admit(claims?.video, claims?.sub)
      return text(response, 200, 'success')
    }
    const [, method] = /^\/twirp\/livekit\.((?:RoomService|AgentDispatchService)\/\w*)$/.exec(url.pathname) ?? []
    if (method === undefined) return text(response, 404, '404 page not found\n')

    const body = await read(request)
    const route = { twirp_invalid_route: `${request.method} ${url.pathname}` }
    if (request.method !== 'POST') throw new TwirpError(404, 'bad_route', `unsupported method "${request.method}" (only POST is allowed)`, route)
    const called = rpcs[method]
    if (!called) throw new TwirpError(404, 'bad_route', `no handler for path "${url.pathname}"`, route)
    const call = { method: method.split('/')[1]!, room: '', at: Date.now() }
    calls.push(call)
    const answer = await called(body, claims?.video, call)
    response.writeHead(200, { 'content-type': 'application/json' }).end(answer.toJsonString({ emitDefaultValues: true, useProtoFieldName: true }))
  }

  /** May the bearer join? The room's name, or the refusal LiveKit gives at the door. */
  function admit (grant: VideoGrant | undefined, identity: string | undefined): string {
    if (!grant) throw new TextError(401, 'no permissions to access the room')
    if (!grant.roomJoin || !grant.room || !identity) throw new TextError(401, 'permissions denied')
    if (!rooms.has(grant.room) && !autoCreate && !grant.roomCreate) throw new TextError(404, 'requested room does not exist')
    return grant.room
  }

  const server = createServer((request, response) => {
    handle(request, response).catch((error) => {
      if (error instanceof TextError) return text(response, error.status, error.message)
      const { status, code, message, meta } = error instanceof TwirpError ? error : new TwirpError(500, 'internal', String(error))
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ code, msg: message, meta }))
    })
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(options.port ?? 0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo

  return {
    url: `ws://127.0.0.1:${port}`,
    apiKey,
    apiSecret,
    port,
    /** The API calls since the start, oldest first: method, room and time (ms since the epoch). */
    calls,
    /** What is there now, readable. */
    rooms: () => rooms.list([]).map(({ name, sid, metadata }) => ({
      name,
      sid,
      metadata,
      participants: rooms.participants(name).map(({ sid, identity, kind, state, attributes }) => ({ sid, identity, kind: Kind[kind], state: State[state], attributes }))
    })),
    /** Puts a person into a room, ACTIVE at once. Throws with `status` 404 (no such room) or 500 (full), as a real join is answered. */
    joinUser: (room: string, identity: string) => { rooms.join(room, identity) },
    /** The same with a join token, judged as at LiveKit's door: throws with `status` 401, 404 or 500. */
    join: async (token: string) => {
      const claims = await verify(undefined, token)
      rooms.join(admit(claims?.video, claims?.sub), claims!.sub!, { name: claims!.name, metadata: claims!.metadata, attributes: claims!.attributes })
    },
    /** A person or an agent leaves; the reason is CLIENT_INITIATED unless said. */
    leave: (room: string, identity: string, reason?: DisconnectReason) => rooms.leave(room, identity, reason),
    /** What a participant says of itself by its attributes. */
    setAttributes: (room: string, identity: string, attributes: Record<string, string>) => { Object.assign(rooms.participant(room, identity).attributes, attributes) },
    /** Which agents come from now on; a dispatch of before is not made up for. */
    setAgents: rooms.setAgents,
    /** Ends it at once: rooms and queued webhooks are lost, nobody is told. */
    stop: async () => {
      webhooks.stop()
      rooms.stop()
      await new Promise((resolve) => { server.close(resolve).closeAllConnections() })
    }
  }
}

function rpc<Request> (
  type: { fromJsonString (json: string, options: { ignoreUnknownFields: boolean }): Request },
  roomOf: (request: Request) => string,
  allowed: (grant: VideoGrant, room: string) => boolean | undefined,
  answer: (request: Request) => Encodable | Promise<Encodable>
): Rpc {
  return async (body, grant, call) => {
    let request: Request
    try {
      request = type.fromJsonString(body, { ignoreUnknownFields: true })
    } catch {
      throw new TwirpError(400, 'malformed', 'the json request could not be decoded')
    }
    call.room = roomOf(request)
    if (!grant || !allowed(grant, call.room)) throw new TwirpError(401, 'unauthenticated', 'permissions denied')
    return answer(request)
  }
}

async function read (request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

function text (response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(body)
}

async function main () {
  const emulator = await startEmulator({ agents: ['voice-agent', 'avatar-agent'], webhookUrl: process.argv[2] })
  console.log(`LIVEKIT_URL=${emulator.url}\nLIVEKIT_API_KEY=${emulator.apiKey}\nLIVEKIT_API_SECRET=${emulator.apiSecret}`)
  console.error('This is the emulator: no media, no real joins. Ctrl-C stops it.')
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => { emulator.stop().then(() => process.exit(0)) })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main()
