// A real LiveKit server for the tests (the finder and starter of the folder above), and the clients to talk to it.
import { AccessToken, AgentDispatchClient, RoomServiceClient } from 'livekit-server-sdk'
import { startLiveKit as startServer } from '../../../dev/livekit/livekit.ts'

/** Starts a server of its own for a test file, with LiveKit's own rule for loads (0.7), under which the worker must get its jobs. */
export async function startLiveKit (options: { departureTimeout?: number, webhookUrl?: string, config?: Record<string, unknown> } = {}) {
  const server = await startServer({ targetLoad: 0.7, ...options })
  const http = server.url.replace('ws', 'http')
  return {
    ...server,
    env: { LIVEKIT_URL: server.url, LIVEKIT_API_KEY: server.apiKey, LIVEKIT_API_SECRET: server.apiSecret },
    rooms: new RoomServiceClient(http, server.apiKey, server.apiSecret),
    dispatches: new AgentDispatchClient(http, server.apiKey, server.apiSecret),
    /** A join token as the service gives it for a voice session. */
    async joinToken (room: string, identity: string): Promise<string> {
      const token = new AccessToken(server.apiKey, server.apiSecret, { identity, name: `${identity}@example.com`, ttl: 600 })
      token.addGrant({ roomJoin: true, room, canPublish: true, canSubscribe: true, canPublishData: true })
      return token.toJwt()
    },
    /** A token as LiveKit's SIP bridge joins with, for a call by telephone. */
    async telephoneToken (room: string, number: string, callId = 'SCL_1'): Promise<string> {
      const token = new AccessToken(server.apiKey, server.apiSecret, { identity: `sip_${number}`, name: number, ttl: 600, attributes: { 'sip.phoneNumber': number, 'sip.callID': callId } })
      token.kind = 'sip'
      token.addGrant({ roomJoin: true, room, canPublish: true, canSubscribe: true, canPublishData: true })
      return token.toJwt()
    }
  }
}

export type LiveKit = Awaited<ReturnType<typeof startLiveKit>>
