// `npm run prove:webhooks`: doubles and any order of webhooks, sent to the service as a process.
import { createHash } from 'node:crypto'
import { AccessToken } from 'livekit-server-sdk'
import { claim, neighbourhood, prove, seconds } from './proof.ts'

const events = ['started', 'joined', 'left', 'finished'] as const

function permutations<T> (items: readonly T[]): T[][] {
  if (items.length === 0) return [[]]
  return items.flatMap((item, n) => permutations([...items.slice(0, n), ...items.slice(n + 1)]).map((rest) => [item, ...rest]))
}

await prove({
  '1,000 copies of one webhook, and all 24 orders of four': async () => {
    const { livekit, service, start, query } = await neighbourhood({ webhooks: false })
    const send = async (event: object) => {
      const body = JSON.stringify(event)
      const token = new AccessToken(livekit.apiKey, livekit.apiSecret, { ttl: 300 })
      token.sha256 = createHash('sha256').update(body).digest('base64')
      return (await fetch(`${service.url}/api/v1/livekit/webhook`, { method: 'POST', headers: { 'content-type': 'application/webhook+json', authorization: await token.toJwt() }, body })).status
    }
    const story = (name: string, sid: string) => {
      const room = { name, sid }
      const at = (s: number) => String(1_790_000_000 + s)
      const participant = { sid: `PA_${sid}`, identity: 'alice', joinedAt: at(5), joinedAtMs: `${at(5)}000` }
      return {
        started: { event: 'room_started', id: `${sid}1`, createdAt: at(0), room },
        joined: { event: 'participant_joined', id: `${sid}2`, createdAt: at(5), room, participant: { ...participant, state: 'ACTIVE' } },
        left: { event: 'participant_left', id: `${sid}3`, createdAt: at(9), room, participant: { ...participant, disconnectReason: 'CLIENT_INITIATED' } },
        finished: { event: 'room_finished', id: `${sid}4`, createdAt: at(20), room }
      }
    }
    const made = async () => {
      const { room_name: name } = await start('alice')
      const [{ id, room_sid: sid }] = await query('select id, room_sid from sessions where room_name = $1', [name])
      return { id, ...story(name, sid) }
    }

    const one = await made()
    const began = performance.now()
    const statuses = new Map<number, number>()
    await Promise.all(Array.from({ length: 20 }, async () => {
      for (let n = 0; n < 50; n++) {
        const status = await send(one.joined)
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
      }
    }))
    const [{ n }] = await query('select count(*)::int as n from session_events where session_id = $1 and type = \'participant.joined\'', [one.id])
    claim('1,000 copies: events in the history', n === 1, `${n}, answers ${JSON.stringify([...statuses])}, ${seconds(performance.now() - began)}`)

    const ends = new Set<string>()
    for (const order of permutations(events)) {
      const session = await made()
      for (const name of order) await send(session[name])
      const [row] = await query('select state, end_reason, agent_state from sessions where id = $1', [session.id])
      const stays = await query('select identity, joined_at, left_at, left_told, with_room from participants where session_id = $1', [session.id])
      ends.add(JSON.stringify({ row, stays }))
    }
    claim('24 orders: end states', ends.size === 1, [...ends].join(' '))
  }
})
