// LiveKit in memory, for models of a session's life: rooms, participants, agents and webhooks on the model's clock.
import type { Clock } from '../../src/sessions/clock.ts'
import type { Ingress } from '../../src/sessions/ingress.ts'
import type { Egress } from '../../src/sessions/recordings.ts'
import type { EgressReport, LiveKitEvent, Participant, Rooms } from '../../src/sessions/rooms.ts'
import type { Travel } from './store.ts'

interface Room { sid: string, createdAt: number, emptyTimeout: number, departureTimeout: number, leftAt: number | undefined, hiddenUntil: number, participants: Map<string, Participant>, dispatches: Array<{ id: string, agents: string[] }> }

export interface WorldOptions {
  clock: Pick<Clock, 'now'>
  /** How a call travels; each is done at once when not given. */
  travel?: Travel
  /** A worker took the dispatch: calls `join` when its agent is there; at once when not given. */
  onJob?: (join: () => void) => void
  /** Told of each webhook; they are in `mail` as well. */
  onMail?: (event: LiveKitEvent) => void
  /** Whoever joins is on the way in from `enter`'s being handed over until it is called; in at once when not given. */
  onJoin?: (enter: () => void) => void
  /** Told of each DeleteRoom that is carried out on a room that is there. */
  onDelete?: (roomName: string) => void
}

/** How long a join that LiveKit has begun may take, and how long a room that it brought back is neither listed nor deleted, ms (livekit.md). */
const JOIN_LIMIT = 16_000
const HIDDEN = 5000

export type World = ReturnType<typeof createWorld>

export function createWorld ({ clock, travel = async (_what, work) => work(), onJob = (join) => join(), onMail = () => {}, onJoin = (enter) => enter(), onDelete = () => {} }: WorldOptions) {
  const rooms = new Map<string, Room>()
  /** Rooms that LiveKit closed, not those it lost. */
  const closed = new Set<Room>()
  /** Webhooks that LiveKit has sent and nobody has received yet. */
  const mail: LiveKitEvent[] = []
  /** Each egress there was, and the objects that they have written. */
  const recorders: EgressReport[] = []
  const objects = new Set<string>()
  /** Each ingress there is, and what it lets in. */
  const ingresses: Array<{ id: string, name: string, roomName: string, identity: string }> = []
  let isRecording = true
  let endsWithRoom = true
  let worker = true
  let workedAlways = true
  let count = 0

  function tellOf (type: string, report: EgressReport) {
    const event = { id: `EV_${++count}`, type, roomName: '', roomSid: '', egress: { ...report }, at: new Date(clock.now()) }
    mail.push(event)
    onMail(event)
  }

  function finish (report: EgressReport, status: 'complete' | 'failed') {
    if (report.status !== 'running') return
    Object.assign(report, { status, endedAt: new Date(clock.now()), error: status === 'failed' ? 'it broke' : '' })
    if (status === 'complete') objects.add(report.file)
    tellOf('egress_ended', report)
  }

  function tell (type: string, name: string, room: Room, participant?: LiveKitEvent['participant']) {
    const event = { id: `EV_${++count}`, type, roomName: name, roomSid: room.sid, participant, at: new Date(clock.now()) }
    mail.push(event)
    onMail(event)
  }

  function enter (name: string, room: Room, identity: string, kind: string, attributes = {}) {
    const participant: Participant = { sid: `PA_${++count}`, identity, kind, state: 'ACTIVE', joinedAt: new Date(clock.now()), attributes }
    const before = room.participants.get(identity)
    if (before) go(name, room, before, false)
    room.participants.set(identity, participant)
    tell('participant_joined', name, room, { ...participant, wentWithRoom: false })
  }

  function go (name: string, room: Room, participant: Participant, wentWithRoom: boolean) {
    room.participants.delete(participant.identity)
    room.leftAt = clock.now()
    tell('participant_left', name, room, { ...participant, wentWithRoom })
  }

  function close (name: string, room: Room) {
    for (const participant of [...room.participants.values()]) go(name, room, participant, true)
    rooms.delete(name)
    closed.add(room)
    tell('room_finished', name, room)
    if (endsWithRoom) for (const report of recorders) if (report.roomName === name) finish(report, 'complete')
  }

  const of = (kind: string) => (room: Room) => [...room.participants.values()].filter((participant) => participant.kind === kind)
  const users = of('STANDARD')
  const agents = of('AGENT')
  const streams = of('INGRESS')

  const isListed = (room: Room) => clock.now() >= room.hiddenUntil
  const listed = (name: string) => { const room = rooms.get(name); return room && isListed(room) ? room : undefined }

  /** A dispatch with no worker is dropped without a word. The agent's room may be gone before it comes. */
  function dispatch (name: string, room: Room) {
    const job = { id: `AD_${++count}`, agents: [] as string[] }
    room.dispatches.push(job)
    if (!worker) return
    const identity = `agent-${count}`
    job.agents.push(identity)
    onJob(() => { if (rooms.get(name) === room) enter(name, room, identity, 'AGENT') })
  }

  const livekit: Omit<Rooms, 'autoCreates'> = {
    createRoom: (spec, deadline) => travel('CreateRoom', () => {
      let room = rooms.get(spec.name)
      if (!room) {
        room = { sid: `RM_${++count}`, createdAt: clock.now(), emptyTimeout: spec.emptyTimeout, departureTimeout: spec.departureTimeout, leftAt: undefined, hiddenUntil: 0, participants: new Map(), dispatches: [] }
        rooms.set(spec.name, room)
        tell('room_started', spec.name, room)
        if (spec.agentName) dispatch(spec.name, room)
        room.leftAt = undefined
      }
      return { sid: room.sid }
    }, deadline),
    deleteRoom: (name, deadline) => travel('DeleteRoom', () => {
      const room = rooms.get(name)
      if (!room || !isListed(room)) return
      onDelete(name)
      close(name, room)
    }, deadline),
    listParticipants: (name, deadline) => travel('ListParticipants', () => [...listed(name)?.participants.values() ?? []], deadline),
    standing: (wanted, deadline) => wanted.length === 0
      ? Promise.resolve(new Set())
      : travel('standing', () => new Set(wanted.filter(({ name, sid }) => listed(name) && (sid === null || listed(name)!.sid === sid)).map(({ name }) => name)), deadline),
    createDispatch: (name, _agentName, _metadata, deadline) => travel('CreateDispatch', () => {
      const room = rooms.get(name)
      if (room) dispatch(name, room)
    }, deadline),
    listDispatches: (name, deadline) => travel('ListDispatch', () => rooms.get(name)?.dispatches.map(({ id, agents }) => ({ id, agents: [...agents] })) ?? [], deadline),
    // A job that was taken is not called back by it (livekit.md section 4).
    deleteDispatch: (id, name, deadline) => travel('DeleteDispatch', () => {
      const room = rooms.get(name)
      if (room) room.dispatches = room.dispatches.filter((job) => job.id !== id)
    }, deadline),
    isHeld: (name, deadline) => travel('SendData', () => rooms.has(name), deadline),
    removeParticipant: (name, identity, deadline) => travel('RemoveParticipant', () => {
      const room = rooms.get(name)
      const participant = room?.participants.get(identity)
      if (room && participant) go(name, room, participant, false)
    }, deadline),
    joinToken: ({ ttl }) => ({ token: 'token', expiresAt: new Date(clock.now() + ttl * 1000) })
  }

  const egress: Egress = {
    start: ({ roomName, file }) => travel('StartEgress', () => {
      if (!isRecording || !rooms.has(roomName)) throw Object.assign(new Error('no egress took it'), { code: 'LIVEKIT_FAILED', outcome: 'unknown' })
      const report: EgressReport = { id: `EG_${++count}`, roomName, file, status: 'running', startedAt: new Date(clock.now()), endedAt: null, error: '' }
      recorders.push(report)
      tellOf('egress_started', report)
      return { ...report, status: 'starting' as const, startedAt: null }
    }),
    list: (roomName) => travel('ListEgress', () => recorders.filter((report) => report.roomName === roomName).map((report) => ({ ...report }))),
    stop: (id) => travel('StopEgress', () => { for (const report of recorders) if (report.id === id) finish(report, 'complete') })
  }

  const ingress: Ingress = {
    create: ({ name, roomName, identity }, deadline) => travel('CreateIngress', () => {
      const id = `IN_${++count}`
      ingresses.push({ id, name, roomName, identity })
      return { id, url: 'rtmp://ingress', streamKey: id }
    }, deadline),
    list: (roomName, deadline) => travel('ListIngress', () => ingresses.filter((one) => one.roomName === roomName).map(({ id, name }) => ({ id, name })), deadline),
    remove: (id, deadline) => travel('DeleteIngress', () => {
      const index = ingresses.findIndex((one) => one.id === id)
      if (index < 0) return
      for (const { roomName } of ingresses.splice(index, 1)) stopStream(roomName)
    }, deadline)
  }

  function stopStream (name: string) {
    const room = rooms.get(name)
    const stream = room && streams(room)[0]
    if (stream) go(name, room, stream, false)
  }

  return {
    rooms,
    mail,
    egress,
    ingress,
    ingresses,
    streams,
    stopStream,
    /** Somebody pushes with the key: the stream comes into the room that is there, as a join does. */
    push (name: string) {
      const one = ingresses.find(({ roomName }) => roomName === name)
      if (one) this.join(name, one.identity, 'INGRESS', { 'ingress.ingressID': one.id })
    },
    recorders,
    objects,
    /** Whether an egress is there to take what is asked for, and whether those at work end when their room does. */
    setEgress (there: boolean, ends = true) {
      isRecording = there
      endsWithRoom = ends
    },
    egressFails (name: string) { for (const report of recorders) if (report.roomName === name) finish(report, 'failed') },
    users,
    agents,
    livekit,
    setWorker (there: boolean) {
      worker = there
      workedAlways &&= there
    },
    /** Whether a worker was there all the time. */
    hasWorked: () => workedAlways,
    /** A user comes in with the room's token, if the room is there (auto_create is off). A room that is deleted meanwhile comes back. */
    join (name: string, identity: string, kind = 'STANDARD', attributes = {}) {
      const room = rooms.get(name)
      if (!room) return
      const begun = clock.now()
      onJoin(() => {
        let there = rooms.get(name)
        if (!there && closed.has(room) && clock.now() < begun + JOIN_LIMIT) {
          there = { ...room, createdAt: clock.now(), leftAt: undefined, hiddenUntil: clock.now() + HIDDEN, participants: new Map(), dispatches: [] }
          rooms.set(name, there)
          tell('room_started', name, there)
        }
        if (there) enter(name, there, identity, kind, attributes)
      })
    },
    leave (name: string) {
      const room = rooms.get(name)
      const user = room && users(room)[0]
      if (user) go(name, room, user, false)
    },
    agentDies (name: string) {
      const room = rooms.get(name)
      const agent = room && agents(room)[0]
      if (agent) go(name, room, agent, false)
    },
    /** The agent ends the call: its word first, by its attribute, then the room. */
    agentEnds (name: string, word: 'agent' | 'idle') {
      const room = rooms.get(name)
      const agent = room && agents(room)[0]
      if (!agent) return
      room.participants.set(agent.identity, { ...agent, attributes: { 'session.end': word } })
      close(name, room)
    },
    /** Crashes: every room is gone, and nobody is told. */
    restart () {
      rooms.clear()
      for (const report of recorders) if (report.status === 'running') Object.assign(report, { status: 'failed', endedAt: new Date(clock.now()), error: 'LiveKit went' })
    },
    /** What LiveKit does by itself when time has passed. */
    tick () {
      for (const [name, room] of [...rooms]) {
        if (users(room).length > 0 || streams(room).length > 0) continue
        const since = room.leftAt === undefined ? room.createdAt + room.emptyTimeout * 1000 : room.leftAt + room.departureTimeout * 1000
        if (clock.now() >= since) close(name, room)
      }
    }
  }
}
