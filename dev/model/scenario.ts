// Which scenarios the interleavings try, and the faults that are put back to show that they would be found.
import fc from 'fast-check'
import { createModes } from '../../src/sessions/modes.ts'
import { modeNames, type AgentState, type ModeName } from '../../src/sessions/vocabulary.ts'
import { runSchedule, type Actor, type Fate, type Scenario, type Trouble } from './schedule.ts'
import type { Statements } from './store.ts'
import type { World } from './world.ts'

const modes = createModes({
  voice: { agentName: 'voice-agent', tokenTtl: 21_600, maxDuration: 360 },
  video: { agentName: 'avatar-agent', tokenTtl: 86_400, maxDuration: 86_400 },
  agentWait: 2
})

type Acts = Pick<Scenario, 'before' | 'actors'> & Partial<Scenario>

const replica = fc.constantFrom(0 as const, 1 as const)
const which = fc.nat(3)
const trouble = fc.option(fc.record({ nth: fc.nat(6), what: fc.constantFrom<Trouble>('lost', 'unanswered', 'crash before', 'crash after') }), { nil: undefined, freq: 3 })
const start = fc.record({
  do: fc.constant('start' as const),
  user: fc.constantFrom('alice', 'alice', 'bert'),
  mode: fc.constantFrom('voice' as const, 'video' as const),
  key: fc.constantFrom(undefined, 'k1', 'k1', 'k2'),
  replica,
  trouble
})
const actor: fc.Arbitrary<Actor> = fc.oneof(
  { weight: 5, arbitrary: start },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('pass' as const), replica, trouble }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('deliver' as const), replica, trouble }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('an agent writes' as const), which, writer: replica, done: fc.boolean(), replica, trouble }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('its transcript is deleted' as const), which, replica, trouble }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('transcripts are settled' as const, 'usage is counted' as const), replica, trouble }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('an agent reports' as const), which, writer: replica, seq: fc.nat(3), replica, trouble }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('recordings are seen to' as const), replica, trouble }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('its recording is deleted' as const), which, replica, trouble }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('its egress fails' as const), which }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('an ingress is made' as const, 'an ingress is made' as const, 'its ingress is deleted' as const), which, replica, trouble }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('ingresses are seen to' as const), replica, trouble }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('a stream comes' as const, 'the stream goes' as const), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('egress comes' as const, 'egress goes' as const, 'egress hangs' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('end' as const, 'end by an admin' as const), which, replica, trouble }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('status' as const, 'rejoin' as const), which, replica, trouble }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('active' as const), user: fc.constantFrom('alice', 'bert'), replica, trouble }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('join' as const, 'join' as const, 'leave' as const, 'agent dies' as const), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('the agent ends the call' as const), which, word: fc.constantFrom('agent' as const, 'idle' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(100, 1000, 2500, 8000, 14_000, 16_000, 45_000, 61_000, 301_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('LiveKit restarts' as const, 'worker comes' as const, 'worker goes' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const), replica }) }
)

const onReplica = <Given extends object>(given: Given) => replica.map((replica) => ({ ...given, replica }))
const troubles = (nth: fc.Arbitrary<number>, ...what: Trouble[]) => fc.record({ nth, what: fc.constantFrom(...what) })
const aPass = onReplica({ do: 'pass' as const })
const anEnd = onReplica({ do: 'end' as const, which: 0 })
const aDelivery = fc.record({ do: fc.constant('deliver' as const), replica, trouble: fc.option(fc.record({ nth: fc.nat(3), what: fc.constantFrom<Trouble>('lost', 'unanswered', 'crash before', 'crash after') }), { nil: undefined }) })
const aLine = (done?: boolean): fc.Arbitrary<Actor> => fc.record({ do: fc.constant('an agent writes' as const), which: fc.constant(0), writer: replica, done: done === undefined ? fc.boolean() : fc.constant(done), replica, trouble })
const aSettling = fc.record({ do: fc.constant('transcripts are settled' as const), replica, trouble })
const aDeletion = fc.record({ do: fc.constant('its transcript is deleted' as const), which: fc.constant(0), replica, trouble })
const aReport: fc.Arbitrary<Actor> = fc.record({ do: fc.constant('an agent reports' as const), which: fc.constant(0), writer: replica, seq: fc.nat(3), replica, trouble })
const aCount = fc.record({ do: fc.constant('usage is counted' as const), replica, trouble })
const aRecorder = fc.record({ do: fc.constant('recordings are seen to' as const), replica, trouble })
const noRecording = fc.record({ do: fc.constant('its recording is deleted' as const), which: fc.constant(0), replica, trouble })
const anIngress = fc.record({ do: fc.constant('an ingress is made' as const), which: fc.constant(0), replica, trouble })
const noIngress = fc.record({ do: fc.constant('its ingress is deleted' as const), which: fc.constant(0), replica, trouble })
const aLookIn = fc.record({ do: fc.constant('ingresses are seen to' as const), replica, trouble })
const aStream = fc.constant<Actor>({ do: 'a stream comes', which: 0 })
const left = fc.constant<Actor>({ do: 'leave', which: 0 })
const egressFails = fc.constant<Actor>({ do: 'its egress fails', which: 0 })
const egressHangs = fc.constant<Actor>({ do: 'egress hangs' })
const aWait = (...ms: number[]) => fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(...ms) })
const aStart = (key?: string, trouble: fc.Arbitrary<{ nth: number, what: Trouble } | undefined> = fc.constant(undefined), mode: fc.Arbitrary<ModeName> = fc.constantFrom(...modeNames)): fc.Arbitrary<Actor> =>
  fc.record({ do: fc.constant('start' as const), user: fc.constant('alice'), key: fc.constant(key), mode, replica, trouble })
const voice = fc.constant('voice' as const)
const healthy = fc.constant(undefined)
const meeting = (before: Array<fc.Arbitrary<Actor>>, actors: Array<fc.Arbitrary<Actor>>, more: Partial<Scenario> = {}): fc.Arbitrary<Acts> =>
  fc.record({ before: fc.tuple(...before), actors: fc.tuple(...actors) }).map((acts) => ({ ...acts, ...more }))
const anAgentsEnd = fc.record({ do: fc.constant('the agent ends the call' as const), which: fc.constant(0), word: fc.constantFrom('agent' as const, 'idle' as const) })
const aRejoin = onReplica({ do: 'rejoin' as const, which: 0 })
const comeBack = fc.constant<Actor>({ do: 'processes come back' })
const joined = fc.constant<Actor>({ do: 'join', which: 0 })
const workerGoes = fc.constant<Actor>({ do: 'worker goes' })
const workerComes = fc.constant<Actor>({ do: 'worker comes' })
const unanswered = troubles(fc.integer({ min: 0, max: 4 }), 'lost', 'unanswered')
const retryFails = troubles(fc.integer({ min: 3, max: 4 }), 'lost', 'unanswered')
const diesAtWork = troubles(fc.integer({ min: 1, max: 2 }), 'crash before', 'crash after')
const dies = troubles(fc.nat(3), 'crash before', 'crash after')

// Where windows are known to be: a few actors that meet in them, again and again.
const meetings = {
  'a start and those who look': fc.oneof(
    meeting([], [aStart(), aPass, aPass]),
    meeting([], [aStart(), aPass, anEnd, aPass])),
  'a dead start taken over': fc.oneof(
    meeting([aStart('k1', diesAtWork, voice), aWait(14_000), comeBack], [aStart('k1', retryFails, voice), aStart('k1', healthy, voice), aWait(2500)]),
    meeting([aStart('k1', diesAtWork, voice), aWait(8000, 14_000), comeBack], [aStart('k1', healthy, voice), aStart('k1', retryFails, voice), aPass])),
  'an end while a start is at work': meeting([], [aStart(undefined, troubles(fc.constant(1), 'crash after', 'unanswered'), voice), anEnd, aPass]),
  'a join that races the end': meeting([aStart(undefined, healthy, voice)], [joined, anEnd, aWait(12_000, 14_000)]),
  'starts that fail, up to the limit': meeting([], [aStart(undefined, unanswered), aStart(undefined, unanswered), aStart(undefined, unanswered)]),
  'an agent that is late, dies or comes twice': fc.oneof(
    meeting([workerGoes, aStart(undefined, healthy, voice), joined, workerComes, aWait(16_000)], [aPass, aPass, aWait(16_000, 31_000), aPass, anEnd]),
    meeting([workerGoes, aStart(undefined, healthy, voice), joined, workerComes, aWait(16_000), aPass], [aWait(31_000), aPass], { jobSteps: 30, fates: ['lost'] }),
    meeting([aStart(), joined], [fc.constant<Actor>({ do: 'agent dies', which: 0 }), aPass, aPass, aWait(1000, 16_000, 31_000), aPass])),
  'an agent ends its call': meeting([aStart(undefined, healthy, voice), joined], [anAgentsEnd, aPass, fc.oneof(aPass, anEnd, aWait(1000, 16_000))]),
  'a session at its maximum duration': meeting([aStart('k1', healthy, voice), joined, aWait(301_000)], [aPass, aWait(45_000, 61_000), fc.oneof(aRejoin, aStart('k1', healthy, voice)), aPass]),
  'messages on their way': fc.oneof(
    meeting([aStart(undefined, healthy, voice), joined], [aDelivery, aDelivery, anEnd, aWait(1000, 31_000), aDelivery]),
    meeting([], [aStart(undefined, healthy), aDelivery, anEnd, aDelivery, aDelivery])),
  'what is said while all is over': fc.oneof(
    meeting([aStart(undefined, healthy, voice), aLine()], [aLine(), aLine(true), anEnd, aSettling, aWait(61_000), aSettling]),
    meeting([aStart(undefined, healthy, voice), aLine()], [aLine(), aDeletion, aLine(true), aDeletion, anEnd, aSettling])),
  'what was used, told while it is counted': fc.oneof(
    meeting([aStart(undefined, healthy, voice), joined, aReport], [aReport, aReport, anEnd, aCount, aReport, aCount]),
    meeting([aStart(undefined, healthy, voice), joined, aReport, anEnd, aCount], [aReport, aCount, aReport, aCount, aPass])),
  'a recording while all is over': fc.oneof(
    meeting([aStart(undefined, healthy, voice)], [aRecorder, aRecorder, anEnd, aWait(2500, 31_000), aRecorder]),
    meeting([aStart(undefined, healthy, voice)], [aRecorder, noRecording, aRecorder]),
    meeting([aStart(undefined, healthy, voice)], [aRecorder, aWait(31_000), aRecorder, egressFails, aRecorder, noRecording]),
    meeting([aStart(undefined, healthy, voice), egressHangs, aRecorder], [anEnd, noRecording, aRecorder, aWait(16_000), aRecorder])),
  'a stream that comes in': fc.oneof(
    meeting([aStart(undefined, healthy, voice)], [anIngress, anIngress, noIngress, aLookIn, aWait(2500, 16_000, 31_000), aLookIn]),
    meeting([aStart(undefined, healthy, voice), anIngress], [aStream, anEnd, aLookIn, aWait(2500, 16_000), aLookIn]),
    meeting([aStart(undefined, healthy, voice), anIngress], [aStream, noIngress, anIngress, aLookIn, anEnd]),
    meeting([aStart(undefined, healthy, voice), joined, anIngress], [aStream, left, aPass, aWait(61_000), aPass])),
  'two ends of one session': meeting([aStart()], [anEnd, dies.map((trouble): Actor => ({ do: 'end by an admin', which: 0, replica: 0, trouble })), aWait(11_000), aPass])
}

const anything = fc.record({ before: fc.constant<Actor[]>([]), actors: fc.tuple(start, fc.array(actor, { minLength: 1, maxLength: 8 })).map(([first, others]) => [first, ...others]) })

const surroundings = fc.record({
  fates: fc.array(fc.constantFrom<Fate>('once', 'once', 'twice', 'lost'), { maxLength: 4 }),
  skew: fc.constantFrom(0, 0, 4000, -4000),
  worker: fc.constantFrom(true, true, true, false),
  jobSteps: fc.constantFrom(0, 1, 3, 12)
})
const scenario = (acts: fc.Arbitrary<Acts>): fc.Arbitrary<Scenario> => fc.tuple(surroundings, acts).map(([rest, acts]) => ({ ...rest, ...acts }))
const scenarios = scenario(fc.oneof({ weight: 5, arbitrary: anything }, ...Object.values(meetings).map((arbitrary) => ({ weight: 1, arbitrary }))))

/** A fault that was there, or might be. */
export interface Fault {
  /** Puts it back into the statements or into LiveKit. */
  put: (parts: { sql: Statements, world: World }) => void
  /** Where it shows soonest; anywhere when not given. */
  at?: keyof typeof meetings
}

export const faults: Record<string, Fault> = {
  'a webhook makes a start due, and whoever looks takes it for a dead one': {
    put: ({ sql }) => {
      const { write, claimDue } = sql
      sql.write = (id, version, change) => {
        const row = sql.rows.get(id)
        return write(id, version, row?.state === 'starting' ? { ...change, session: { ...change.session, next_check_at: row.created_at } } : change)
      }
      sql.claimDue = (now, ...rest) => {
        for (const row of sql.rows.values()) if (row.state === 'starting') row.lease = -Infinity
        return claimDue(now, ...rest)
      }
    }
  },
  'two retries of a dead start both own it': {
    at: 'a dead start taken over',
    put: ({ sql }) => {
      const { goLive } = sql
      const current = (id: string) => sql.rows.get(id)?.check_no ?? 0
      sql.takeOver = (id, take) => {
        const row = sql.rows.get(id)
        return row?.state === 'starting' && row.created_at.getTime() + 7000 <= take.now.getTime() ? { ...row } : undefined
      }
      sql.goLive = (id, _checkNo, live) => goLive(id, current(id), live)
      sql.failStart = (id, _checkNo, end) => {
        const row = sql.rows.get(id)
        if (row?.state !== 'starting' && row?.state !== 'live') return undefined
        Object.assign(row, { state: 'ended', end_reason: 'start_failed', ended_by: 'service', ended_at: end.now, next_check_at: end.next_check_at, lease: -Infinity })
        sql.over(row)
        return { ...row }
      }
    }
  },
  'a failed start keeps its slot until its room is deleted': {
    at: 'starts that fail, up to the limit',
    put: ({ sql }) => {
      sql.failStart = (id, checkNo, end) => {
        const row = sql.rows.get(id)
        if (row?.check_no !== checkNo || row.state !== 'starting') return undefined
        return { ...Object.assign(row, { state: 'ending', end_reason: 'start_failed', ended_by: 'service', next_check_at: end.now, lease: -Infinity, check_no: checkNo + 1 }) }
      }
    }
  },
  'a start goes live whatever became of it': {
    at: 'a start and those who look',
    put: ({ sql }) => {
      sql.goLive = (id, _checkNo, live) => {
        const row = sql.rows.get(id)
        return row && { ...Object.assign(row, { state: 'live', room_sid: live.room_sid, expires_at: live.expires_at, lease: -Infinity }) }
      }
    }
  },
  'an ended room is not looked at again': {
    at: 'an end while a start is at work',
    put: ({ sql }) => {
      const { finishEnd, failStart } = sql
      sql.finishEnd = (id, checkNo, end) => finishEnd(id, checkNo, { ...end, next_check_at: null })
      sql.failStart = (id, checkNo, end) => failStart(id, checkNo, { ...end, next_check_at: null })
    }
  },
  'the word that a room is finished hides that it came back': {
    at: 'a join that races the end',
    put: ({ sql }) => {
      const { release } = sql
      sql.release = (looks) => release(looks.map((look) => {
        const row = sql.rows.get(look.id)
        return row?.ended_at && row.finished_at ? { ...look, next_check_at: new Date(row.ended_at.getTime() + 40_000) } : look
      }))
    }
  },
  'a second agent stays': {
    at: 'an agent that is late, dies or comes twice',
    put: ({ world }) => {
      world.livekit.removeParticipant = async () => {}
    }
  },
  'the watchdog decides on the agent as its look found it': {
    at: 'an agent that is late, dies or comes twice',
    put: ({ sql }) => {
      const { claimDue, read } = sql
      const found = new Map<string, AgentState>()
      sql.claimDue = (...claim) => {
        const due = claimDue(...claim)
        for (const { id, check_no: no, agent_state: state } of due) found.set(`${id} ${no}`, state)
        return due
      }
      sql.read = (key) => {
        const row = read(key)
        const state = 'check_no' in key && found.get(`${key.id} ${key.check_no}`)
        return row && state ? { ...row, session: { ...row.session, agent_state: state } } : row
      }
    }
  },
  'the maximum duration waits for the usual look': {
    at: 'a session at its maximum duration',
    put: ({ sql }) => {
      const { release } = sql
      sql.release = (looks) => release(looks.map((look) => {
        const row = sql.rows.get(look.id)
        return row?.state === 'live' && look.next_check_at?.getTime() === row.expires_at.getTime() ? { ...look, next_check_at: new Date(row.expires_at.getTime() + 15_000) } : look
      }))
    }
  },
  'a message is over before it is sent': {
    at: 'messages on their way',
    put: ({ sql }) => {
      const { claimMessages } = sql
      sql.claimMessages = (...claim) => {
        const claimed = claimMessages(...claim)
        for (const { id } of claimed) sql.messages.find((message) => message.id === id)!.state = 'delivered'
        return claimed
      }
    }
  },
  'a message does not wait for those of its session before it': {
    at: 'messages on their way',
    put: ({ sql }) => {
      sql.claimMessages = (_endpoint, now, leaseUntil, limit) => sql.messages.filter((message) => message.state === 'pending' && message.next_attempt_at <= now.getTime()).slice(0, limit)
        .map((message) => ({ ...Object.assign(message, { attempts: message.attempts + 1, next_attempt_at: leaseUntil.getTime() }) }))
    }
  },
  'the outbox is written in a statement of its own': {
    at: 'messages on their way',
    put: ({ sql }) => {
      const { tell } = sql
      let missing: Parameters<typeof tell> | undefined
      // It is written when the next one is, and never when the process dies in between.
      sql.tell = (...message) => {
        if (missing) tell(...missing)
        missing = message
      }
    }
  },
  'an agent that came before the start was through is not told of': {
    at: 'messages on their way',
    put: ({ sql }) => {
      const { tell } = sql
      sql.tell = (row, lines) => tell(row, lines.filter((line) => !line?.message.endsWith('a')))
    }
  },
  'lines land after the word that there are no more': {
    at: 'what is said while all is over',
    put: ({ sql }) => {
      const { appendLines } = sql
      // As if the row were looked at, and not held.
      sql.appendLines = (id, batch, endedAfter) => {
        const row = sql.rows.get(id)
        const state = row?.transcript
        if (row) row.transcript = 'writing'
        const outcome = appendLines(id, batch, endedAfter)
        if (row) row.transcript = state ?? null
        return outcome
      }
    }
  },
  'a transcript is ready while an agent is at work': {
    at: 'what is said while all is over',
    put: ({ sql }) => {
      sql.isWhole = (row) => row.transcript === 'writing'
    }
  },
  'a report that comes again adds': {
    at: 'what was used, told while it is counted',
    put: ({ sql }) => {
      const { takeReport } = sql
      sql.takeReport = (id, report) => {
        const before = sql.reports.get(id)?.get(report.writer)
        return takeReport(id, before ? { ...report, seq: before.seq + 1, input_tokens: before.input_tokens + report.input_tokens } : report)
      }
    }
  },
  'a report that comes late takes the place of a later one': {
    at: 'what was used, told while it is counted',
    put: ({ sql }) => {
      const { takeReport } = sql
      sql.takeReport = (id, report) => {
        sql.reports.get(id)?.delete(report.writer)
        return takeReport(id, report)
      }
    }
  },
  'what is told after the count is not counted': {
    at: 'what was used, told while it is counted',
    put: ({ sql }) => {
      const { takeReport } = sql
      sql.takeReport = (id, report) => {
        const counted = sql.rows.get(id)?.counted ?? false
        const outcome = takeReport(id, report)
        Object.assign(sql.rows.get(id) ?? {}, { counted })
        return outcome
      }
    }
  },
  'what an egress does is never asked for': {
    at: 'a recording while all is over',
    put: ({ world }) => {
      world.egress.list = async () => []
    }
  },
  'an egress that does not end with its room is left alone': {
    at: 'a recording while all is over',
    put: ({ world }) => {
      world.egress.stop = async () => {}
    }
  },
  'a recording that is deleted leaves its file': {
    at: 'a recording while all is over',
    put: ({ sql }) => {
      sql.left.set = () => sql.left
    }
  },
  'a file is forgotten while LiveKit may still be asked to write it': {
    at: 'a recording while all is over',
    put: ({ sql }) => {
      const { dueLeft } = sql
      sql.dueLeft = (...due) => dueLeft(...due).map((file) => ({ ...file, attempts: file.attempts + 10 }))
    }
  },
  'an ingress is asked for before it is written down': {
    at: 'a stream that comes in',
    put: ({ sql }) => {
      const { write } = sql
      // As if only the answer were.
      sql.write = (id, version, change) => write(id, version, change.session?.ingress === 'making'
        ? { ...change, session: { ...change.session, ingress_doubt_until: null, ingress_check_at: null } }
        : change)
    }
  },
  'an end does not look for its ingress': {
    at: 'a stream that comes in',
    put: ({ sql }) => {
      sql.dueIngresses = () => []
    }
  },
  'an ingress that LiveKit may still make is forgotten': {
    at: 'a stream that comes in',
    put: ({ sql }) => {
      const { write } = sql
      sql.write = (id, version, change) => write(id, version, change.session?.ingress === null
        ? { ...change, session: { ...change.session, ingress_check_at: null } }
        : change)
    }
  },
  'a stream counts as a user': {
    at: 'a stream that comes in',
    put: ({ world }) => {
      const { listParticipants } = world.livekit
      world.livekit.listParticipants = async (...args) => (await listParticipants(...args)).map((one) => one.kind === 'INGRESS' ? { ...one, kind: 'STANDARD' } : one)
    }
  },
  'what an agent says of the end is forgotten when the end is known already': {
    at: 'an agent ends its call',
    put: ({ sql }) => {
      const { write } = sql
      sql.write = (id, version, change) => write(id, version, sql.rows.get(id)?.state === 'ended'
        ? { ...change, session: { ...change.session, end_reason: sql.rows.get(id)!.end_reason } }
        : change)
    }
  },
  'the limit counts nothing that is starting': {
    at: 'starts that fail, up to the limit',
    put: ({ sql }) => {
      const { claim } = sql
      sql.claim = (session, limits) => {
        const starting = [...sql.rows.values()].filter((row) => row.user_id === session.user_id && row.state === 'starting').length
        return claim(session, { ...limits, slots: limits.slots + starting })
      }
    }
  }
}

/**
 * The property that a scenario keeps every invariant, whatever the order of its steps.
 * @param fault one of `faults`, to be found
 * @param anywhere try all scenarios, not only those where the fault shows soonest
 */
export function interleavings (fault?: Fault, anywhere = true) {
  const tried = fault?.at && !anywhere ? scenario(meetings[fault.at]) : scenarios
  return fc.asyncProperty(fc.scheduler(), tried, (scheduler, scenario) => runSchedule(scheduler, scenario, modes, fault?.put))
}
