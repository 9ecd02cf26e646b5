// LiveKit's Ingress at the edge of the network: the LiveKit of the tests has no Redis, and so none. All other calls go on to it.
import { createServer, request as ask, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CreateIngressRequest, DeleteIngressRequest, IngressInfo, ListIngressRequest, ListIngressResponse } from '@livekit/protocol'
import { TokenVerifier } from 'livekit-server-sdk'
import type { Test } from 'tap'
import type { AnyLiveKit } from '../dev/livekit/any-livekit.ts'

/** What it does with a call: carries it out, does not (500), or does and loses the answer. */
export type IngressBehaviour = 'works' | 'fails' | 'loses answers'

/** Starts it; `url` is where the service is to call LiveKit. Until `hold` is resolved, no creation is carried out. */
export async function startIngressEdge (t: Test, livekit: AnyLiveKit) {
  const verifier = new TokenVerifier(livekit.apiKey, livekit.apiSecret)
  let count = 0
  const edge = {
    url: '',
    behaviour: 'works' as IngressBehaviour,
    hold: Promise.resolve(),
    /** Whether it knows where streams are sent to. */
    hasAddress: true,
    there: [] as IngressInfo[],
    /** Calls, in their order. */
    asked: [] as string[]
  }

  async function carryOut (method: string, body: string): Promise<IngressInfo | ListIngressResponse | undefined> {
    if (method === 'CreateIngress') {
      await edge.hold
      const { inputType, name, roomName, participantIdentity, participantName } = CreateIngressRequest.fromJsonString(body)
      const url = edge.hasAddress ? 'rtmp://edge/live' : ''
      const info = new IngressInfo({ ingressId: `IN_${++count}`, inputType, name, roomName, participantIdentity, participantName, url, streamKey: `secret-key-${count}` })
      edge.there.push(info)
      return info
    }
    if (method === 'ListIngress') {
      const { roomName } = ListIngressRequest.fromJsonString(body)
      return new ListIngressResponse({ items: edge.there.filter((one) => one.roomName === roomName) })
    }
    const index = edge.there.findIndex((one) => one.ingressId === DeleteIngressRequest.fromJsonString(body).ingressId)
    return edge.there.splice(index, index < 0 ? 0 : 1)[0]
  }

  async function answer (method: string, request: IncomingMessage, response: ServerResponse) {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const { video } = await verifier.verify(request.headers.authorization!.replace('Bearer ', ''))
    const say = (status: number, body: string) => { response.writeHead(status, { 'content-type': 'application/json' }).end(body) }
    if (!video?.ingressAdmin) return say(403, '{"code":"permission_denied","msg":"permissions denied"}')
    edge.asked.push(method)
    if (edge.behaviour === 'fails') return say(500, '{"code":"internal","msg":"ingress not connected (redis required)"}')
    const done = await carryOut(method, Buffer.concat(chunks).toString())
    if (edge.behaviour === 'loses answers') response.destroy()
    else if (done) say(200, done.toJsonString({ useProtoFieldName: true }))
    else say(404, '{"code":"not_found","msg":"ingress does not exist"}')
  }

  const server = createServer((request, response) => {
    const [, method] = /^\/twirp\/livekit\.Ingress\/(\w+)$/.exec(request.url!) ?? []
    if (method) return answer(method, request, response)
    const { method: verb, url: path, headers } = request
    const onward = ask({ host: '127.0.0.1', port: livekit.port, method: verb, path, headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers)
      answer.pipe(response)
    })
    onward.once('error', () => response.destroy())
    request.pipe(onward)
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => new Promise((resolve) => { server.close(resolve).closeAllConnections() }))
  edge.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return edge
}
