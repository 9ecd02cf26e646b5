// `npm run prove:video`: video starts with webhooks on and a worker that joins at once, also on a database that takes half a second a statement.
import { claim, faultsBefore, neighbourhood, prove, seconds, startDatabase } from './proof.ts'

const STARTS = 100
const AT_ONCE = 5

async function starts (databaseUrl: string) {
  const { call, rooms, worker, query } = await neighbourhood({ databaseUrl, env: { LOG_LEVEL: 'error' } })
  await worker('accept', 'avatar-agent')
  const { body: { id } } = await call('root', 'POST', '/counselor-categories', { name: 'Stress' }, { role: 'admin' })
  const statuses: number[] = []
  const behind: number[] = []
  const queue = Array.from({ length: STARTS }, (_, n) => `user-${n}`).values()
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (const user of queue) {
      const { status, body } = await call(user, 'POST', '/video/create-room', { counselor_category: id })
      const answered = Date.now()
      statuses.push(status)
      if (status !== 200) continue
      const [agent] = await rooms.listParticipants(body.room_name)
      behind.push(answered - Number(agent!.joinedAtMs))
    }
  }))
  behind.sort((a, b) => a - b)
  const ok = statuses.filter((status) => status === 200).length
  claim(`${STARTS} starts, all answered 200`, ok === STARTS, `${ok} of ${STARTS}`)
  const [{ dispatched }] = await query('select count(*)::int as dispatched from session_events where type = \'agent.dispatched\'')
  claim('no agent was sent for twice', dispatched === 0, String(dispatched))
  return { median: behind[Math.floor(behind.length / 2)]!, worst: behind.at(-1)! }
}

await prove({
  async 'a worker that joins at once' () {
    const { median, worst } = await starts(await startDatabase())
    claim('median within 0.3 s of the agent\'s join', median <= 300, `${seconds(median)}, worst ${seconds(worst)}`)
  },
  async 'the same, and a database that takes 500 ms a statement' () {
    const proxy = await faultsBefore(await startDatabase())
    await proxy.fault({ delay: 500 }, /^[PQ]/)
    const { median, worst } = await starts(proxy.address)
    claim('median within 0.3 s of the agent\'s join and the statement that comes after it', median <= 300 + 500 + 200, `${seconds(median)}, worst ${seconds(worst)}`)
  }
})
