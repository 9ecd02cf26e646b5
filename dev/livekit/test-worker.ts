// A worker for tests: registers with LiveKit like an agent server and does with each job what the test says.
import { once } from 'node:events'
import { type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  AvailabilityResponse, JobType, ParticipantPermission, RegisterWorkerRequest, ServerMessage, UpdateWorkerStatus, WorkerMessage, type Job
} from '@livekit/protocol'
import { AccessToken } from 'livekit-server-sdk'
import { Agent, buildConnector, WebSocket } from 'undici'
import { startHost, type Host, type Joined } from './participant.ts'

const TERMINATION = 50 // ms between a job's termination and its agent's goodbye
const RECONNECT = 500 // ms between attempts to reach a server that went away

/**
 * What to do with a job. `refuse`: say no. `silent`: never answer (LiveKit gives up after 10 s). `accept`: join at once. An object accepts, too:
 * with `attributes` of its own from the start, joining only `slow` ms after the assignment, leaving `leaveAfter` ms after the join,
 * or dying `die` ms after the join (SIGKILL, no goodbye: LiveKit shows it ACTIVE for 20 s more).
 */
export type Behaviour = 'accept' | 'refuse' | 'silent' | Plan

interface Plan { attributes?: Record<string, string>, slow?: number, leaveAfter?: number, die?: number }

/** A job that was offered, and how far it came. */
export interface TestJob {
  id: string
  dispatchId: string
  room: string
  /** What the dispatch said. */
  metadata: string
  /** The agent's identity in the room. */
  identity: string
  state: 'offered' | 'refused' | 'silent' | 'assigned' | 'joined' | 'ended' | 'failed'
  /** Once ended: LiveKit's reason, or PROCESS_ENDED when it died. Once failed: what failed. */
  reason?: string
  /** The agent in its room, from `joined` on: setAttributes, leave, disconnected. */
  agent?: Joined
}

export interface TestWorkerOptions {
  /** ws:// address of the server. */
  url: string
  apiKey: string
  apiSecret: string
  /** The name that dispatches ask for. */
  agentName: string
  /** One for all jobs, or chosen for each; `accept` when not given. */
  behaviour?: Behaviour | ((job: TestJob) => Behaviour)
}

export type TestWorker = Awaited<ReturnType<typeof startTestWorker>>

/**
 * Starts a worker and resolves when LiveKit has registered it; it registers again when the server comes back.
 * Its agents live in one child process, those that die in one each.
 * @throws when the server cannot be reached or refuses the key.
 */
export async function startTestWorker (options: TestWorkerOptions) {
  const { url, apiKey, apiSecret, agentName } = options
  let { behaviour = 'accept' } = options
  const jobs: TestJob[] = []
  const assigned = new Map<string, (token: string) => void>() // job id -> what waits for its token
  const terminated = new Set<string>() // job ids
  const host = startHost()
  const hosts = new Set<Host>([host])
  let workerId = ''
  let wire: Socket | undefined
  let socket: WebSocket
  let over = false

  // The connector is ours because undici's WebSocket can say goodbye but cannot drop the line.
  const connector = buildConnector({})
  const dispatcher = new Agent({
    connect: (how, callback) => connector(how, (...result) => {
      wire = result[1] ?? undefined
      callback(...result)
    })
  })

  try {
    await connect()
  } catch (error) {
    over = true
    host.stop()
    throw error
  }

  async function connect (): Promise<void> {
    const token = new AccessToken(apiKey, apiSecret, { ttl: 600 })
    token.addGrant({ agent: true })
    socket = new WebSocket(new URL('/agent', url), { headers: { authorization: `Bearer ${await token.toJwt()}` }, dispatcher })
    socket.binaryType = 'arraybuffer'
    await new Promise<void>((resolve, reject) => {
      socket.addEventListener('open', () => send({
        case: 'register',
        value: new RegisterWorkerRequest({
          type: JobType.JT_ROOM,
          agentName,
          version: '1.0.0',
          allowedPermissions: new ParticipantPermission({ canPublish: true, canSubscribe: true, canPublishData: true, canUpdateMetadata: true, agent: true })
        })
      }))
      socket.addEventListener('message', ({ data }) => {
        const { message } = ServerMessage.fromBinary(new Uint8Array(data))
        if (message.case === 'register') {
          workerId = message.value.workerId
          send({ case: 'updateWorker', value: new UpdateWorkerStatus({ load: 0 }) })
          resolve()
        }
        if (message.case === 'availability' && message.value.job) offered(message.value.job)
        if (message.case === 'assignment' && message.value.job) assigned.get(message.value.job.id)?.(message.value.token)
        if (message.case === 'termination') terminate(message.value.jobId).catch(() => {})
      })
      socket.addEventListener('error', ({ error }) => reject(new Error(`The worker ${agentName} could not register: ${error?.message}`)))
      socket.addEventListener('close', () => {
        reject(new Error(`The worker ${agentName} was not registered: LiveKit closed the connection`))
        if (workerId && !over) setTimeout(() => { if (!over) connect().catch(() => {}) }, RECONNECT)
      })
    })
  }

  function send (message: WorkerMessage['message']): void {
    if (socket.readyState === WebSocket.OPEN) socket.send(new WorkerMessage({ message }).toBinary())
  }

  function offered (offer: Job): void {
    const job: TestJob = { id: offer.id, dispatchId: offer.dispatchId, room: offer.room?.name ?? '', metadata: offer.metadata, identity: `agent-${offer.id}`, state: 'offered' }
    const wanted = typeof behaviour === 'function' ? behaviour(job) : behaviour
    jobs.push(job)
    if (wanted === 'silent') {
      job.state = 'silent'
    } else if (wanted === 'refuse') {
      job.state = 'refused'
      send({ case: 'availability', value: new AvailabilityResponse({ jobId: job.id, available: false }) })
    } else {
      work(job, wanted === 'accept' ? {} : wanted).catch((error) => {
        job.state = 'failed'
        job.reason = error.message
      })
    }
  }

  async function work (job: TestJob, { attributes = {}, slow = 0, leaveAfter, die }: Plan): Promise<void> {
    const token = new Promise<string>((resolve) => assigned.set(job.id, resolve))
    send({
      case: 'availability',
      value: new AvailabilityResponse({
        jobId: job.id,
        available: true,
        participantIdentity: job.identity,
        participantAttributes: { 'lk.agent.name': agentName, ...attributes } // LiveKit adds lk.agent_name
      })
    })
    const joinToken = await token
    job.state = 'assigned'
    if (slow) await sleep(slow, undefined, { ref: false })
    if (over || terminated.has(job.id)) throw new Error('The job was over before the agent joined.')

    const place = die === undefined ? host : startHost()
    hosts.add(place)
    job.agent = await place.join({ url, token: joinToken })
    job.state = 'joined'
    if (die !== undefined) setTimeout(() => place.kill(), die)
    if (leaveAfter !== undefined) setTimeout(() => job.agent!.leave().catch(() => {}), leaveAfter)
    job.reason = await job.agent.disconnected
    job.state = 'ended'
    if (place !== host) place.stop()
  }

  /** The dispatch or the room was deleted. An agent's process takes a moment to obey: a room that is deleted is quicker to throw it out. */
  async function terminate (id: string): Promise<void> {
    terminated.add(id)
    await sleep(TERMINATION, undefined, { ref: false })
    await jobs.find((job) => job.id === id)?.agent?.leave()
  }

  return {
    /** LiveKit's id of this worker; another one after a reconnect. */
    get workerId () { return workerId },
    /** Every job offered so far, oldest first; they are kept up to date. */
    jobs,
    /** What to do with the jobs to come. */
    setBehaviour: (next: Behaviour | ((job: TestJob) => Behaviour)) => { behaviour = next },
    /** Leaves all rooms, then goes. */
    stop: async () => {
      over = true
      await Promise.allSettled(jobs.map((job) => job.agent?.leave()))
      const closed = socket.readyState === WebSocket.CLOSED ? undefined : once(socket, 'close')
      socket.close()
      await Promise.race([closed, sleep(200)])
      wire?.destroy()
      for (const one of hosts) one.stop()
    },
    /** Dies with all its agents, and says nothing to anybody. */
    kill: async () => {
      over = true
      wire?.resetAndDestroy()
      await Promise.all([...hosts].map((one) => one.kill()))
    }
  }
}
