// The least that can be done: Node's HTTP server, a PostgreSQL client and a pool of connections to LiveKit, and of each request its round
// trips only. No token, no rule, no framework, no log. What it costs is what no service of this shape can go below (`npm run bench:floor`).
import { createServer } from 'node:http'
import pg from 'pg'
import { createTokens } from '../plugins/livekit/tokens.ts'
import { createTransport } from '../plugins/livekit/transport.ts'

const { PORT, DATABASE_URL, LIVEKIT_URL = '', LIVEKIT_API_KEY = '', LIVEKIT_API_SECRET = '' } = process.env
const pool = new pg.Pool({ connectionString: DATABASE_URL, max: 20 })
const transport = createTransport([LIVEKIT_URL])
const rpc = transport.within(5000)
const tokens = createTokens(LIVEKIT_API_KEY, LIVEKIT_API_SECRET)
const headers = await tokens.authHeader({ roomCreate: true, roomList: true, roomAdmin: true, room: 'bare' })
const { token } = tokens.join({ roomName: 'bare', identity: 'bare', name: 'bare', ttl: 3600, grant: { canPublish: true, canSubscribe: true, canPublishData: true } })

/** A statement that brings a session's row, prepared. */
const row = async () => (await pool.query({ name: 'row', text: 'select * from sessions limit 1' })).rows[0]
const call = (method: string, data: object) => rpc.request('RoomService', method, data, headers)

/** What each request waits for, as docs/performance.md counts it. */
const trips: Record<string, (name: string) => Promise<unknown>> = {
  start: async (name) => { await row(); await call('CreateRoom', { name, emptyTimeout: 300, departureTimeout: 60, maxParticipants: 2, metadata: '{"user_id":"bench"}', agents: [{ agentName: 'voice-agent', metadata: '{}' }] }); return row() },
  status: async () => { const found = await row(); await call('ListParticipants', { room: 'bare' }); await transport.validate(token, 5000); return found },
  active: async () => { const found = await row(); await call('ListParticipants', { room: 'bare' }); await transport.validate(token, 5000); return found },
  end: async (name) => { await row(); await call('DeleteRoom', { room: name }); return row() },
  webhook: () => row()
}

createServer((request, response) => {
  const [, what = '', name = ''] = request.url!.split('/')
  const body: Buffer[] = []
  request.on('data', (chunk) => body.push(chunk)).on('end', async () => {
    const answer = JSON.stringify(await trips[what]?.(name) ?? {})
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer) }).end(answer)
  })
}).listen(Number(PORT), '127.0.0.1', () => console.log('listening'))
process.on('SIGTERM', () => process.exit(0))
