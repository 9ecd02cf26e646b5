// The service killed (-9) at a chosen point of a start or an end, and what one pass of the reconciler makes of it.
import { RoomServiceClient } from 'livekit-server-sdk'
import pg from 'pg'
import { request } from 'undici'
import { startFaultProxy, type Fault } from './fault-proxy.ts'
import type { LiveKit } from '../livekit/livekit.ts'
import { startService } from '../prove/service.ts'
import { signUserToken } from '../demo/token.ts'

/** Where the process is held when it is killed: a statement or an RPC that does not get through, or whose answer does not come back. */
export const crashPoints: Record<string, { of: 'start' | 'end', at: 'livekit' | 'postgres', fault: Fault, when: RegExp }> = {
  'start: before the insert': { of: 'start', at: 'postgres', fault: 'hang', when: /insert into sessions/ },
  'start: between insert and CreateRoom': { of: 'start', at: 'livekit', fault: 'hang', when: /CreateRoom/ },
  'start: between CreateRoom and update': { of: 'start', at: 'postgres', fault: 'hang', when: /set state = 'live'/ },
  'end: before the row is ending': { of: 'end', at: 'postgres', fault: 'hang', when: /set state = 'ending'/ },
  'end: between ending and DeleteRoom': { of: 'end', at: 'livekit', fault: 'hang', when: /DeleteRoom/ },
  'end: between DeleteRoom and ended': { of: 'end', at: 'postgres', fault: 'hang', when: /set state = 'ended'/ }
}

export interface CrashReport { roomsWithoutRow: number, rowsWithoutRoom: number, stuckRows: number, slotsHeld: number, keyFree: boolean }

/**
 * Lets a service on its own database be killed at `point`, makes one pass with a second one, and counts what is left.
 * The rows' next look is due at once: the pauses (40 s for a start, 10 s for an end) are not what this is about.
 */
export async function crashAt (point: keyof typeof crashPoints, { livekit, databaseUrl, jwtSecret, user }: { livekit: LiveKit, databaseUrl: string, jwtSecret: string, user: string }): Promise<CrashReport> {
  const { of, at, fault, when } = crashPoints[point]!
  const database = new URL(databaseUrl)
  const proxies = {
    livekit: await startFaultProxy({ target: { host: '127.0.0.1', port: livekit.port } }),
    postgres: await startFaultProxy({ target: { host: database.hostname, port: Number(database.port) } })
  }
  const viaProxy = new URL(databaseUrl)
  viaProxy.port = String(proxies.postgres.port)
  const env = { LIVEKIT_URL: livekit.url, LIVEKIT_API_KEY: livekit.apiKey, LIVEKIT_API_SECRET: livekit.apiSecret, JWT_SECRET: jwtSecret, LOG_LEVEL: 'error', RATE_LIMIT_PER_MINUTE: '0', START_LIMIT_PER_MINUTE: '0' }
  const authorization = `Bearer ${signUserToken(jwtSecret, { sub: user })}`
  const call = async (url: string, method: 'GET' | 'POST' | 'DELETE', path: string) => {
    const { statusCode, body } = await request(`${url}/api/v1/voice-sessions${path}`, { method, headers: { authorization, 'idempotency-key': 'crash' }, reset: true })
    return { status: statusCode, body: await body.json() as any }
  }
  const sql = new pg.Client({ connectionString: databaseUrl })
  sql.on('error', () => {}) // the database may go before we do
  await sql.connect()

  try {
    const victim = await startService({ ...env, DATABASE_URL: viaProxy.href, LIVEKIT_API_URL: proxies.livekit.url })
    const room = of === 'end' ? (await call(victim.url, 'POST', '/start')).body.room_name as string : ''
    await proxies[at].fault(fault, when)
    const answer = (of === 'start' ? call(victim.url, 'POST', '/start') : call(victim.url, 'DELETE', `/${room}`)).catch(() => undefined)
    while (proxies[at].hits() === 0) await new Promise((resolve) => { setTimeout(resolve, 5) })
    await victim.kill()
    if (await answer) throw new Error(`${point}: the call was answered`)
  } finally {
    await Promise.all([proxies.livekit.stop(), proxies.postgres.stop()])
  }

  await sql.query('update sessions set next_check_at = now() - interval \'1 s\', lease_until = \'-infinity\' where user_id = $1 and ended_at is null', [user])
  const healer = await startService({ ...env, DATABASE_URL: databaseUrl })
  try {
    for (let n = 0; n < 200; n++) {
      const { rows } = await sql.query('select 1 from sessions where user_id = $1 and (next_check_at < now() or lease_until > now())', [user])
      if (rows.length === 0) break
      await new Promise((resolve) => { setTimeout(resolve, 25) })
    }
    const rooms = new Set((await new RoomServiceClient(livekit.url, livekit.apiKey, livekit.apiSecret).listRooms()).map((room) => room.name).filter((name) => name.startsWith(`fitness-voice-${user}-`)))
    const { rows } = await sql.query<{ room_name: string, state: string }>('select room_name, state from sessions where user_id = $1', [user])
    const live = new Set(rows.filter((row) => row.state === 'live').map((row) => row.room_name))
    const report = {
      roomsWithoutRow: [...rooms].filter((name) => !live.has(name)).length,
      rowsWithoutRoom: [...live].filter((name) => !rooms.has(name)).length,
      stuckRows: rows.filter((row) => row.state === 'starting' || row.state === 'ending').length,
      slotsHeld: rows.filter((row) => row.state !== 'ended' && row.state !== 'live').length,
      keyFree: [200, 409].includes((await call(healer.url, 'POST', '/start')).status)
    }
    for (const { room_name: room } of (await call(healer.url, 'GET', '/active')).body.sessions) await call(healer.url, 'DELETE', `/${room}`)
    return report
  } finally {
    await healer.stop()
    await sql.end()
  }
}
