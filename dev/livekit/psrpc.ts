// LiveKit's own RPC between its services, psrpc over Redis, as far as a stand-in of one of them needs it: serve a method, call a method.
// https://github.com/livekit/psrpc: internal.proto, pkg/info/channels.go, pkg/server/rpc.go
import { randomUUID } from 'node:crypto'
import { proto3, type Message, type MessageType } from '@bufbuild/protobuf'
import { Redis } from 'ioredis'

const [STRING, BYTES, INT64, BOOL, FLOAT] = [9, 12, 3, 8, 2] as const
type Field = [no: number, name: string, type: number]
const messageOf = (name: string, fields: Field[]) => proto3.makeMessageType(`internal.${name}`, fields.map(([no, name, T]) => ({ no, name, kind: 'scalar' as const, T }))) as MessageType<any>

const Msg = messageOf('Msg', [[1, 'type_url', STRING], [2, 'value', BYTES], [3, 'channel', STRING]])
const Request = messageOf('Request', [[1, 'request_id', STRING], [2, 'client_id', STRING], [3, 'sent_at', INT64], [4, 'expiry', INT64], [5, 'multi', BOOL], [8, 'raw_request', BYTES]])
const Response = messageOf('Response', [[1, 'request_id', STRING], [2, 'server_id', STRING], [3, 'sent_at', INT64], [5, 'error', STRING], [6, 'code', STRING], [7, 'raw_response', BYTES]])
const ClaimRequest = messageOf('ClaimRequest', [[1, 'request_id', STRING], [2, 'server_id', STRING], [3, 'affinity', FLOAT]])
const ClaimResponse = messageOf('ClaimResponse', [[1, 'request_id', STRING], [2, 'server_id', STRING]])

/** An error that LiveKit is answered with; `code` as psrpc names it: unavailable, not_found, ... */
export class RpcError extends Error {
  readonly code: string
  constructor (code: string, message: string) {
    super(message)
    this.code = code
  }
}

const LIMIT = 3000 // ms

/** One service of LiveKit's on the bus of its Redis. */
export async function joinBus (redisUrl: string) {
  const id = `CLI_${randomUUID().replaceAll('-', '')}`
  const [inbox, outbox] = [new Redis(redisUrl), new Redis(redisUrl)]
  const listeners = new Map<string, (message: any) => void>()
  inbox.on('messageBuffer', (channel: Buffer, bytes: Buffer) => listeners.get(channel.toString())?.(Msg.fromBinary(bytes).value))

  const listen = async (channel: string, type: MessageType<any>, hear: (message: any) => void) => {
    listeners.set(channel, (value) => hear(type.fromBinary(value)))
    await inbox.subscribe(channel)
  }
  const say = async (channel: string, message: Message) => {
    await outbox.publish(channel, Buffer.from(new Msg({ typeUrl: `type.googleapis.com/${message.getType().typeName}`, value: message.toBinary() }).toBinary()))
  }
  const now = () => BigInt(Date.now()) * 1_000_000n
  const channelOf = (...parts: string[]) => parts.filter(Boolean).join('|')

  return {
    /** Answers calls of a method that are for `topic`: each is claimed first, and answered by the one whose claim is taken. */
    async serve (service: string, method: string, topic: string, answer: (request: Uint8Array) => Promise<Message>) {
      const claimed = new Map<string, (serverId: string) => void>()
      await listen(channelOf(service, method, topic, 'RCLAIM'), ClaimResponse, ({ requestId, serverId }) => claimed.get(requestId)?.(serverId))
      await listen(channelOf(service, method, topic, 'REQ'), Request, async ({ requestId, clientId, rawRequest }) => {
        const taken = new Promise<string>((resolve) => { claimed.set(requestId, resolve) })
        await say(channelOf(service, clientId, 'CLAIM'), new ClaimRequest({ requestId, serverId: id, affinity: 1 }))
        if (await taken !== id) return
        const response = await answer(rawRequest).then(
          (message) => ({ rawResponse: message.toBinary() }),
          (error: Error) => ({ error: error.message, code: error instanceof RpcError ? error.code : 'internal' }))
        await say(channelOf(service, clientId, 'RES'), new Response({ requestId, serverId: id, sentAt: now(), ...response }))
      })
    },

    async stopServing (service: string, method: string, topic: string) {
      await inbox.unsubscribe(channelOf(service, method, topic, 'REQ'), channelOf(service, method, topic, 'RCLAIM'))
    },

    /** Calls a method of whoever serves it. @throws Error when it says no, or nobody answers within 3 s */
    async call (service: string, method: string, request: Message): Promise<Uint8Array> {
      const requestId = `REQ_${randomUUID().replaceAll('-', '')}`
      const me = `${id}_${requestId}`
      const answer = new Promise<Uint8Array>((resolve, reject) => {
        setTimeout(() => reject(new Error(`nobody answered ${method}`)), LIMIT).unref()
        listen(channelOf(service, me, 'RES'), Response, ({ error, rawResponse }) => error ? reject(new Error(error)) : resolve(rawResponse)).catch(reject)
      })
      let isTaken = false
      await listen(channelOf(service, me, 'CLAIM'), ClaimRequest, ({ serverId }) => {
        if (!isTaken) say(channelOf(service, method, 'RCLAIM'), new ClaimResponse({ requestId, serverId })).catch(() => {})
        isTaken = true
      })
      await say(channelOf(service, method, 'REQ'), new Request({ requestId, clientId: me, sentAt: now(), expiry: now() + BigInt(LIMIT) * 1_000_000n, rawRequest: request.toBinary() }))
      try {
        return await answer
      } finally {
        await inbox.unsubscribe(channelOf(service, me, 'RES'), channelOf(service, me, 'CLAIM'))
      }
    },

    close () {
      inbox.disconnect()
      outbox.disconnect()
    }
  }
}
