// How an RPC travels to a self-hosted LiveKit: Twirp JSON over a pool of kept connections.
import { ServerError, type RoomServiceClient } from 'livekit-server-sdk'
import { Pool, type Dispatcher } from 'undici'

/** The seam of livekit-server-sdk 2.19: what its typed clients call. Pinned, and tested against the real server. */
export interface Rpc {
  request: (service: string, method: string, data: unknown, headers: Record<string, string>) => Promise<unknown>
}

export interface Transport {
  /** An Rpc whose calls are given up after `limit` ms. */
  within: (limit: number) => Rpc
  /** The status LiveKit's `/rtc/validate` gives a join token, within `limit` ms: what a client's join would meet. */
  validate: (token: string, limit: number) => Promise<number>
  /** Closes the connections. Calls that are under way fail: at the end of the process nobody waits for them. */
  close: () => Promise<void>
}

interface Answer { status: number, type: unknown, text: string }

/**
 * The SDK's own transport is Node's global fetch, which costs several times the client CPU of an undici pool (bench/rpc.ts).
 * It also has one attempt and a fixed 10 s for everything; here each call brings its own limit.
 * Of several nodes of one LiveKit the one that answered last is asked. Who does not answer, or answers that it cannot (503), is left for
 * the next of the list, until that one fails: nobody asks a dead node again and again, and none has to be probed.
 * @param urls one per node
 */
export function createTransport (urls: string[], connections = 64): Transport {
  const pools = urls.map((url) => new Pool(url.replace(/^ws/, 'http'), { connections, pipelining: 1, connect: { timeout: 1000 }, keepAliveTimeout: 30_000, headersTimeout: 0, bodyTimeout: 0 }))
  let current = 0

  async function ask (request: Dispatcher.DispatchOptions, limit: number): Promise<Answer> {
    const asked = current
    // Of many calls that fail at once the first one turns away, and the others do not turn back.
    const leave = () => { if (current === asked) current = (asked + 1) % pools.length }
    try {
      const answer = await exchange(pools[asked]!, request, Math.ceil(limit))
      if (answer.status === 503) leave()
      return answer
    } catch (error) {
      leave()
      throw error
    }
  }

  return {
    within: (limit) => ({
      async request (service, method, data, headers) {
        const { status, type, text } = await ask({
          path: `/twirp/livekit.${service}/${method}`,
          method: 'POST',
          headers: { 'content-type': 'application/json', ...headers },
          body: JSON.stringify(data)
        }, limit)
        if (status === 200) return JSON.parse(text)
        const said = type === 'application/json' ? parse(text) : {}
        throw new ServerError('ServerError', said.msg ?? text, status, said.code, said.meta)
      }
    }),
    async validate (token, limit) {
      const { status } = await ask({ path: `/rtc/validate?access_token=${token}`, method: 'GET' }, limit)
      return status
    },
    close: async () => { await Promise.all(pools.map((pool) => pool.destroy())) }
  }
}

/**
 * One request and its whole answer, on undici's lowest level: its own `request` makes a stream of each body, and an
 * AbortSignal.timeout lives on until it is due. Together they cost a fifth of a call (bench/rpc.ts).
 * @param limit ms
 * @throws Error with code ETIMEDOUT when no answer came within `limit`, UND_ERR_CONNECT_TIMEOUT when there was no connection
 * to send it on either, and what undici throws when the connection fails
 */
function exchange (pool: Pool, request: Dispatcher.DispatchOptions, limit: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const answer: Answer = { status: 0, type: undefined, text: '' }
    let sending: Dispatcher.DispatchController | undefined
    let tooLate: Error | undefined
    const timer = setTimeout(() => {
      tooLate = Object.assign(new Error('no answer in time'), { code: sending ? 'ETIMEDOUT' : 'UND_ERR_CONNECT_TIMEOUT' })
      sending?.abort(tooLate)
      reject(tooLate)
    }, limit)

    pool.dispatch(request, {
      onRequestStart (controller) {
        sending = controller
        // It waited for a connection until its time was up: it must not be sent now.
        if (tooLate) controller.abort(tooLate)
      },
      onResponseStart (_controller, status, headers) {
        answer.status = status
        answer.type = headers['content-type']
      },
      onResponseData (_controller, chunk) {
        chunks.push(chunk)
      },
      onResponseEnd () {
        clearTimeout(timer)
        answer.text = Buffer.concat(chunks).toString()
        resolve(answer)
      },
      onResponseError (_controller, error) {
        clearTimeout(timer)
        reject(error)
      }
    })
  })
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
