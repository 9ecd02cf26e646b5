// What somebody outside meets at the edge, tried in a container of its own: protocols, ciphers, names, headers, paths, limits, and the life of a
// session. Certificates are checked. Prints one line of JSON: what it saw. Nothing but Node is needed.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { request as plainRequest } from 'node:http'
import { connect, getCiphers, type ConnectionOptions, type TLSSocket } from 'node:tls'

const { DOMAIN = '', TOKEN = '', SSL_CERT_FILE = '', LIMIT = '300' } = process.env
const API = `https://${DOMAIN}`
const ca = readFileSync(SSL_CERT_FILE)

/** What a socket tells next; one that is closed instead is an error, where `once` alone would wait for ever. */
async function next (socket: TLSSocket, event: string): Promise<unknown[]> {
  const closed = new AbortController()
  const abort = () => closed.abort()
  socket.once('close', abort)
  try {
    return await once(socket, event, { signal: closed.signal })
  } catch (error) {
    throw closed.signal.aborted ? new Error(`closed before ${event}`) : error
  } finally {
    socket.off('close', abort)
  }
}

/** What a TLS client gets that asks for this. */
async function handshake (servername: string, options: ConnectionOptions = {}): Promise<{ protocol: string | null, cipher: string, alpn: string | false | null, error?: string }> {
  const socket = connect({ host: servername, port: 443, servername, ca, ALPNProtocols: ['h2', 'http/1.1'], ...options })
  try {
    await next(socket, 'secureConnect')
    return { protocol: socket.getProtocol(), cipher: socket.getCipher().name, alpn: socket.alpnProtocol }
  } catch (error) {
    return { protocol: null, cipher: '', alpn: null, error: (error as { code?: string }).code ?? (error as Error).message }
  } finally {
    socket.destroy()
  }
}

/** Every protocol, and every cipher of TLS 1.2, tried one by one, as testssl does. The client itself is made to allow the old ones. */
async function tls () {
  const protocols: Record<string, boolean> = {}
  for (const version of ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const) {
    protocols[version] = (await handshake(DOMAIN, { minVersion: version, maxVersion: version, ciphers: 'ALL:@SECLEVEL=0' })).protocol === version
  }
  const ciphers: string[] = []
  for (const name of getCiphers().filter((name) => !name.startsWith('tls_')).map((name) => name.toUpperCase())) {
    const { cipher } = await handshake(DOMAIN, { maxVersion: 'TLSv1.2', ciphers: `${name}:@SECLEVEL=0` })
    if (cipher) ciphers.push(cipher)
  }
  return { protocols, ciphers, alpn: (await handshake(DOMAIN)).alpn, unknownName: (await handshake(DOMAIN, { servername: 'elsewhere.test' })).error, otherAuthority: (await handshake(DOMAIN, { ca: [] })).error }
}

/** RFC 8656: an Allocate without credentials is answered by a TURN server with 401 and its realm. */
async function allocate () {
  const socket = connect({ host: `turn.${DOMAIN}`, port: 443, servername: `turn.${DOMAIN}`, ca })
  await next(socket, 'secureConnect')
  const request = Buffer.alloc(28)
  request.writeUInt16BE(0x0003, 0)
  request.writeUInt16BE(8, 2)
  request.writeUInt32BE(0x2112A442, 4)
  request.write('livekit-stun', 8, 'latin1')
  request.writeUInt16BE(0x0019, 20) // REQUESTED-TRANSPORT: UDP
  request.writeUInt16BE(4, 22)
  request[24] = 17
  socket.write(request)
  const [answer] = await next(socket, 'data') as [Buffer]
  socket.destroy()
  return { type: answer.readUInt16BE(0).toString(16), realm: answer.includes('livekit') }
}

/** Caddy closes when it cannot look LiveKit up, as may happen with Podman's name server. So it is tried again, as a client of a call does. */
async function turn () {
  for (let tries = 3; ; tries--) {
    try {
      return await allocate()
    } catch (error) {
      if (tries === 1) throw error
    }
  }
}

async function http () {
  const status = async (url: string, init?: RequestInit) => (await fetch(url, { redirect: 'manual', ...init })).status
  const page = await fetch(`${API}/api/docs/json`)
  const hidden: Record<string, number> = {}
  for (const path of ['/metrics', '/livez', '/readyz', '/api/v1/livekit/webhook', '/api/v1/livekit/../livekit/webhook', '//metrics', '/%6detrics']) hidden[path] = await rawStatus(path)
  const plain = await fetch(`http://${DOMAIN}/api/docs`, { redirect: 'manual' })
  return {
    api: page.status,
    headers: Object.fromEntries(['strict-transport-security', 'server', 'via', 'x-content-type-options'].map((name) => [name, page.headers.get(name)])),
    hidden,
    livekit: { door: await status(`https://livekit.${DOMAIN}/`), api: await status(`https://livekit.${DOMAIN}/twirp/livekit.RoomService/ListRooms`, { method: 'POST' }), workers: await status(`https://livekit.${DOMAIN}/agent`), whip: await status(`https://livekit.${DOMAIN}/w`, { method: 'OPTIONS' }) },
    plain: { status: plain.status, location: plain.headers.get('location') }
  }
}

/** The status of a path that no client library has tidied up. */
async function rawStatus (path: string): Promise<number> {
  const socket = connect({ host: DOMAIN, port: 443, servername: DOMAIN, ca, ALPNProtocols: ['http/1.1'] })
  await next(socket, 'secureConnect')
  socket.write(`GET ${path} HTTP/1.1\r\nhost: ${DOMAIN}\r\nconnection: close\r\n\r\n`)
  const [head] = await next(socket, 'data') as [Buffer]
  socket.destroy()
  return Number(head.toString('latin1').split(' ')[1])
}

/** Refused again and again, this address is shut out: also when it says that it is another, and when it comes straight to the service, for which it is the same. */
async function address () {
  const refused = async (headers: Record<string, string> = {}) => (await fetch(`${API}/api/v1/voice-sessions/active`, { headers: { authorization: 'Bearer none', ...headers } })).status
  for (let i = 0; i < Number(LIMIT); i++) await refused()
  const direct = await new Promise<number>((resolve, reject) => {
    plainRequest({ host: 'service', port: 3000, path: '/api/v1/voice-sessions/active', headers: { authorization: 'Bearer none' } }, (response) => resolve(response.resume().statusCode!)).once('error', reject).end()
  })
  return { after: await refused(), lying: await refused({ 'x-forwarded-for': '203.0.113.7' }), direct }
}

/** Start, status, list, end; the agent is not waited for. */
async function session () {
  const ask = async (method: string, path: string, body?: object) => {
    const response = await fetch(`${API}/api/v1/voice-sessions${path}`, { method, headers: { authorization: `Bearer ${TOKEN}`, ...(body && { 'content-type': 'application/json' }) }, body: body && JSON.stringify(body) })
    return { status: response.status, body: await response.json() as Record<string, any> }
  }
  const { status, body: { room_name: room, livekit_url: url } } = await ask('POST', '/start', {})
  const statuses = [status, (await ask('GET', `/${room}/status`)).status, (await ask('GET', '/active')).status, (await ask('DELETE', `/${room}`)).status, (await ask('GET', `/${room}/status`)).status]
  return { url, statuses }
}

console.log(JSON.stringify({ session: await session(), tls: await tls(), turn: await turn(), http: await http(), address: await address() }))
process.exit(0)
