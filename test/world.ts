// A LiveKit for the model of a session's life: rooms in memory that follow the test's clock, and whose calls fail as told.
import type { LiveKitEvent, Participant } from '../src/sessions/rooms.ts'

export type Trouble =
  /** The call is done and answered. */
  | 'none'
  /** LiveKit says no; nothing is done. */
  | 'refused'
  /** Nobody is there; nothing is done. */
  | 'not_sent'
  /** It is done, but the answer is lost. */
  | 'unknown'
  /** The process dies before the call: it never returns. */
  | 'crash before'
  /** The process dies after the call was done: it never returns. */
  | 'crash after'

interface Room { sid: string, createdAt: number, emptyTimeout: number, departureTimeout: number, leftAt: number | undefined, participants: Map<string, Participant> }

export function createWorld (clock: { now: () => number }) {
  const rooms = new Map<string, Room>()
  /** Webhooks that LiveKit has sent and nobody has received yet. */
  const mail: LiveKitEvent[] = []
  let trouble: Trouble = 'none'
  let worker = true
  let count = 0
  const never = new Promise<never>(() => {})

  /** Does `work` as the trouble of the moment has it; a trouble strikes once. */
  async function call<T> (work: () => T): Promise<T> {
    const now = trouble
    trouble = 'none'
    if (now === 'crash before') return never
    if (now === 'refused' || now === 'not_sent') throw Object.assign(new Error(now), { outcome: now })
    const result = work()
    if (now === 'crash after') return never
    if (now === 'unknown') throw Object.assign(new Error(now), { outcome: now })
    return result
  }

  function tell (type: string, name: string, room: Room, participant?: LiveKitEvent['participant']) {
    mail.push({ id: `EV_${++count}`, type, roomName: name, roomSid: room.sid, participant, at: new Date(clock.now()) })
  }

  function enter (name: string, room: Room, identity: string, kind: string) {
    const participant: Participant = { sid: `PA_${++count}`, identity, kind, state: 'ACTIVE', joinedAt: new Date(clock.now()), attributes: {} }
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
    tell('room_finished', name, room)
  }

  const users = (room: Room) => [...room.participants.values()].filter(({ kind }) => kind === 'STANDARD')
  const agents = (room: Room) => [...room.participants.values()].filter(({ kind }) => kind === 'AGENT')
  const sendAgent = (name: string, room: Room) => { if (worker) enter(name, room, `agent-${++count}`, 'AGENT') }

  return {
    rooms,
    mail,
    users,
    agents,
    setTrouble (next: Trouble) { trouble = next },
    setWorker (there: boolean) { worker = there },
    /** A user comes in with the room's token, if the room is there (auto_create is off). */
    join (name: string, identity: string) {
      const room = rooms.get(name)
      if (room) enter(name, room, identity, 'STANDARD')
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
    /** Crashes: every room is gone, and nobody is told. */
    restart () { rooms.clear() },
    /** What LiveKit does by itself when time has passed. */
    tick () {
      for (const [name, room] of [...rooms]) {
        if (users(room).length > 0) continue
        const since = room.leftAt === undefined ? room.createdAt + room.emptyTimeout * 1000 : room.leftAt + room.departureTimeout * 1000
        if (clock.now() >= since) close(name, room)
      }
    },

    livekit: {
      createRoom: (spec: { name: string, emptyTimeout: number, departureTimeout: number, agentName: string }) => call(() => {
        let room = rooms.get(spec.name)
        if (!room) {
          room = { sid: `RM_${++count}`, createdAt: clock.now(), emptyTimeout: spec.emptyTimeout, departureTimeout: spec.departureTimeout, leftAt: undefined, participants: new Map() }
          rooms.set(spec.name, room)
          tell('room_started', spec.name, room)
          sendAgent(spec.name, room)
          room.leftAt = undefined
        }
        return { sid: room.sid }
      }),
      deleteRoom: (name: string) => call(() => {
        const room = rooms.get(name)
        if (room) close(name, room)
      }),
      listParticipants: (name: string) => call(() => [...rooms.get(name)?.participants.values() ?? []]),
      findRooms: (names: string[]) => call(() => new Map(names.flatMap((name) => rooms.has(name) ? [[name, rooms.get(name)!.sid] as const] : []))),
      createDispatch: (name: string) => call(() => {
        const room = rooms.get(name)
        if (room) sendAgent(name, room)
      }),
      listDispatches: async () => [],
      deleteDispatch: async () => {},
      removeParticipant: (name: string, identity: string) => call(() => {
        const room = rooms.get(name)
        const participant = room?.participants.get(identity)
        if (room && participant) go(name, room, participant, false)
      }),
      joinToken: async ({ ttl }: { ttl: number }) => ({ token: 'token', expiresAt: new Date(clock.now() + ttl * 1000) })
    }
  }
}

export type World = ReturnType<typeof createWorld>
