// How an RPC travels to a self-hosted LiveKit: Twirp JSON over a pool of kept connections.
import { ServerError, type RoomServiceClient } from 'livekit-server-sdk'
import { Pool } from 'undici'

/** The seam of livekit-server-sdk 2.19: what its typed clients call. Pinned, and tested against the real server. */
export interface Rpc {
  request: (service: string, method: string, data: unknown, headers: Record<string, string>) => Promise<unknown>
}

export interface Transport {
  /** An Rpc whose calls are given up after `limit` ms. */
  within: (limit: number) => Rpc
  close: () => Promise<void>
}

/**
 * The SDK's own transport is Node's global fetch, which costs four times the client CPU of an undici pool (bench/rpc).
 * It also has one attempt and a fixed 10 s for everything; here each call brings its own limit.
 */
export function createTransport (url: string, connections = 64): Transport {
  const pool = new Pool(url.replace(/^ws/, 'http'), { connections, pipelining: 1, connect: { timeout: 1000 }, keepAliveTimeout: 30_000, headersTimeout: 0, bodyTimeout: 0 })

  return {
    within: (limit) => ({
      async request (service, method, data, headers) {
        const { statusCode, headers: answer, body } = await pool.request({
          path: `/twirp/livekit.${service}/${method}`,
          method: 'POST',
          headers: { 'content-type': 'application/json', ...headers },
          body: JSON.stringify(data),
          signal: AbortSignal.timeout(Math.ceil(limit))
        })
        if (statusCode === 200) return await body.json()
        const text = await body.text()
        const said = answer['content-type'] === 'application/json' ? parse(text) : {}
        throw new ServerError('ServerError', said.msg ?? text, statusCode, said.code, said.meta)
      }
    }),
    close: () => pool.close()
  }
}

/** A view of an SDK client that sends its calls through `rpc`. The client itself stays as it is. */
export function through<Client extends Pick<RoomServiceClient, 'authHeader'>> (client: Client, rpc: Rpc): Client {
  return Object.create(client, { rpc: { value: rpc } })
}

function parse (text: string): { msg?: string, code?: string, meta?: Record<string, string> } {
  try {
    return JSON.parse(text)
  } catch {
    return {}
  }
}
