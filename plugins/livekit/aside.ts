// Calls to what works beside LiveKit's rooms (Egress, Ingress): over connections of their own and without the circuit breaker, so that what is away or slow there holds up no room.
import type { EgressClient, IngressClient } from 'livekit-server-sdk'
import { toLiveKitError } from './errors.ts'
import { createTokens } from './tokens.ts'
import { createTransport, through, type Rpc } from './transport.ts'

const CONNECTIONS = 8

export interface AsideOptions {
  urls: string[]
  apiKey: string
  apiSecret: string
}

/** Makes the way of a typed client of the SDK: `call` sends through it and takes `limit` ms at most. @throws LiveKitFailed */
export function createAside<Client extends EgressClient | IngressClient> (client: Client, { urls, apiKey, apiSecret }: AsideOptions) {
  client.authHeader = createTokens(apiKey, apiSecret).authHeader
  // On Cloud the SDK's own transport stays: it fails over between regions.
  const transport = new URL(urls[0]!).hostname.endsWith('.livekit.cloud') ? undefined : createTransport(urls, CONNECTIONS)

  return {
    async call<Answer> (method: string, limit: number, send: (client: Client) => Promise<Answer>): Promise<Answer> {
      try {
        return await send(transport ? through(client, transport.within(limit) as Rpc) : client)
      } catch (error) {
        throw toLiveKitError(error, method)
      }
    },
    close: async () => { await transport?.close() }
  }
}
