// `npm run prove:watchdog`: agents that do not come, that die and that come late, on a real server with real workers (D2).
import { joinRoom } from '../livekit/participant.ts'
import { claim, neighbourhood, prove, seconds, sleep, until } from './proof.ts'

const AGENT = 4
const ACTIVE = 2

async function setting (env: NodeJS.ProcessEnv, webhooks = true) {
  const all = await neighbourhood({ env, webhooks })
  const { room_name: room, token } = await all.start('alice')
  const agents = async () => (await all.rooms.listParticipants(room)).filter(({ kind, state }) => kind === AGENT && state === ACTIVE)
  return { ...all, room, agents, join: () => joinRoom({ url: all.livekit.url, token }) }
}

const parts: Record<string, () => Promise<void>> = {
  'no worker, then one arrives while the user waits (defaults)': async () => {
    const { agents, join, worker, query } = await setting({})
    await join()
    await sleep(3000)
    await worker('accept')
    const took = await until(async () => (await agents()).length === 1, 60_000)
    const [{ agent_dispatches: dispatches }] = await query('select agent_dispatches from sessions')
    claim('the agent is there', took < 16_000, `${seconds(took + 3000)} after the user, dispatch ${dispatches}`)
  },

  'a worker that joins 8 s late, AGENT_JOIN_TIMEOUT 5': async () => {
    const { agents, join, worker, query } = await setting({ AGENT_JOIN_TIMEOUT: '5' })
    await worker({ slow: 8000 })
    await join()
    let longest = 0
    let since = 0
    for (const end = Date.now() + 40_000; Date.now() < end; await sleep(25)) {
      if ((await agents()).length > 1) {
        since ||= Date.now()
        longest = Math.max(longest, Date.now() - since)
      } else since = 0
    }
    const [{ agent_dispatches: dispatches }] = await query('select agent_dispatches from sessions')
    claim('two agents at once', longest < 2000, `for ${seconds(longest)} at most`)
    claim('one agent in the end', (await agents()).length === 1, `${dispatches} dispatches`)
  },

  'a worker that refuses: never more than AGENT_MAX_DISPATCHES': async () => {
    const { join, worker, query } = await setting({ AGENT_JOIN_TIMEOUT: '2', AGENT_MAX_DISPATCHES: '5' })
    const refusing = await worker('refuse')
    await join()
    const took = await until(async () => (await query('select agent_state from sessions'))[0].agent_state === 'failed', 90_000)
    await sleep(5000)
    claim('given up', refusing.jobs.length <= 5, `after ${seconds(took)} and ${refusing.jobs.length} jobs offered`)
  }
}
for (const webhooks of [true, false]) {
  parts[`the agent's process killed, webhooks ${webhooks ? 'on' : 'off'}`] = async () => {
    const interval = 5
    const { agents, join, worker } = await setting({ RECONCILE_INTERVAL: String(interval) }, webhooks)
    const dying = await worker({ die: 8000 })
    await join()
    await until(async () => (await agents()).length === 1, 20_000)
    const first = (await agents())[0]!.identity
    dying.setBehaviour('accept')
    await until(() => dying.jobs[0]!.state === 'ended', 20_000)
    const took = await until(async () => (await agents()).some(({ identity }) => identity !== first), 60_000)
    claim('another agent is there', took < (20 + interval + 2) * 1000, `${seconds(took)} after the kill (LiveKit shows the dead one for 20 s)`)
  }
}
await prove(parts)
