// What the service's way to LiveKit is worth: its client against livekit-server-sdk as it comes, on one real server, in turns.
import { randomBytes } from 'node:crypto'
import { cpus, loadavg } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { RoomServiceClient } from 'livekit-server-sdk'
import { Registry } from 'prom-client'
import { startLiveKit } from '../dev/livekit/livekit.ts'
import { createLiveKit } from '../plugins/livekit/client.ts'
import { callAsFast } from './parts.ts'

/** One call; `room` is a name of its own for each call of CreateRoom, the same one for the others. */
type Call = (room: string) => Promise<unknown>
type Operation = 'CreateRoom' | 'ListRooms' | 'ListParticipants'
/** What was done in a time: calls, ms, and CPU time of this process in microseconds (the server is another process). */
interface Sample { calls: number, time: number, cpu: number }

const operations: Operation[] = ['CreateRoom', 'ListRooms', 'ListParticipants']
const standing = 'bench-standing'

/** What `width` callers get in `seconds`, and what that costs. */
async function measure (call: Call, roomOf: () => string, width: number, seconds: number): Promise<Sample> {
  const cpuBefore = process.cpuUsage()
  const { times, took } = await callAsFast(() => call(roomOf()), width, seconds)
  const { user, system } = process.cpuUsage(cpuBefore)
  return { calls: times.length, time: took, cpu: user + system }
}

const sum = (one: Sample, other: Sample): Sample => ({ calls: one.calls + other.calls, time: one.time + other.time, cpu: one.cpu + other.cpu })
const perSecond = ({ calls, time }: Sample) => calls / time * 1000

/** The middle value, or the mean of the two in the middle. */
function median (values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

async function main () {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '7' },
      seconds: { type: 'string', default: '1' },
      widths: { type: 'string', default: '1,10,50' }
    }
  })
  const rounds = Number(values.rounds)
  const seconds = Number(values.seconds)
  const widths = values.widths.split(',').map(Number)

  const server = await startLiveKit({ log: console.error })
  const sdk = new RoomServiceClient(server.url, server.apiKey, server.apiSecret)
  const ours = createLiveKit({ urls: [server.url], apiKey: server.apiKey, apiSecret: server.apiSecret, metrics: new Registry() })
  const limits = { metadata: '{"user_id":"alice","agent_type":"general","mode":"voice","created_at":"2026-01-01T10:00:00.000Z"}', emptyTimeout: 300, departureTimeout: 60, maxParticipants: 2 }
  const clients: Record<'sdk' | 'ours', Record<Operation, Call>> = {
    sdk: {
      CreateRoom: (name) => sdk.createRoom({ name, ...limits }),
      ListRooms: (name) => sdk.listRooms([name]),
      ListParticipants: (name) => sdk.listParticipants(name)
    },
    ours: {
      CreateRoom: (name) => ours.createRoom({ name, ...limits, agentName: '', agentMetadata: '' }),
      ListRooms: (name) => ours.standing([{ name, sid: null }]),
      ListParticipants: (name) => ours.listParticipants(name)
    }
  }

  /** One sample; the rooms it made are gone afterwards, so that each sample meets the same server. */
  async function sample (who: 'sdk' | 'ours', operation: Operation, width: number, time: number): Promise<Sample> {
    const made: string[] = []
    const roomOf = operation === 'CreateRoom'
      ? () => { const name = `bench-${randomBytes(16).toString('hex')}`; made.push(name); return name }
      : () => standing
    const result = await measure(clients[who][operation], roomOf, width, time)
    const left = made.values()
    await Promise.all(Array.from({ length: 20 }, async () => { for (const name of left) await ours.deleteRoom(name) }))
    if (made.length > 0) await sleep(200) // the server takes rooms down in the background
    return result
  }

  try {
    await ours.createRoom({ name: standing, ...limits, emptyTimeout: 3600, agentName: '', agentMetadata: '' })
    console.log(`LiveKit ${server.version}, Node ${process.version}, ${cpus().length} cores shared by client and server; ${rounds} rounds of ${seconds} s each, in turns`)
    const cells = operations.flatMap((operation) => widths.map((width) => ({ operation, width, sdk: [] as Sample[], ours: [] as Sample[] })))
    for (const who of ['sdk', 'ours'] as const) for (const operation of operations) await sample(who, operation, Math.max(...widths), 0.3) // warm: code compiled, connections open

    for (let round = 0; round < rounds; round++) {
      for (const cell of cells) {
        const half = (who: 'sdk' | 'ours') => sample(who, cell.operation, cell.width, seconds / 2)
        // One, the other twice, the first again: a machine that gets slower or faster meanwhile hits both alike.
        const [first, second] = round % 2 ? ['ours', 'sdk'] as const : ['sdk', 'ours'] as const
        const before = await half(first)
        cell[second].push(sum(await half(second), await half(second)))
        cell[first].push(sum(before, await half(first)))
      }
      process.stderr.write(`round ${round + 1} of ${rounds}\n`)
    }

    const rows = cells.map((cell) => {
      const ratios = cell.ours.map((mine, n) => perSecond(mine) / perSecond(cell.sdk[n]!))
      const rate = (samples: Sample[]) => Math.round(median(samples.map(perSecond)))
      const cpu = (samples: Sample[]) => Math.round(median(samples.map(({ cpu, calls }) => cpu / calls)))
      return {
        call: cell.operation,
        'in flight': cell.width,
        'SDK calls/s': rate(cell.sdk),
        'ours calls/s': rate(cell.ours),
        ratio: Number(median(ratios).toFixed(2)),
        'lowest..highest': `${Math.min(...ratios).toFixed(2)}..${Math.max(...ratios).toFixed(2)}`,
        'SDK us CPU/call': cpu(cell.sdk),
        'ours us CPU/call': cpu(cell.ours)
      }
    })
    console.table(rows)
    console.log(`Rates are medians over the rounds; the ratio is the median of the rounds' own ratios. Load of the machine in the last minutes: ${loadavg()[1]!.toFixed(1)}`)
    const slower = rows.filter(({ ratio }) => ratio <= 1)
    if (slower.length > 0) {
      console.error(`Not faster: ${slower.map((row) => `${row.call} with ${row['in flight']} in flight`).join(', ')}`)
      process.exitCode = 1
    }
  } finally {
    await ours.close()
    await server.stop()
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main()
