// One conversation from its start to its end: which session it is, the room it is in, and what went wrong with it.
import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { useSession } from '@livekit/components-react'
import { ConnectionError, ConnectionErrorReason, DisconnectReason, MediaDeviceFailure, Room, RoomEvent, TokenSource } from 'livekit-client'
import { answer, openEvents, Refused, untilAnswered, type Api, type SessionEvent } from '../api.ts'
import type { ProblemName } from '../texts.ts'

export type AgentType = 'workout' | 'diet' | 'supplement' | 'tracker' | 'scheduler' | 'general'
export type Choice = { mode: 'voice', agentType: AgentType } | { mode: 'video', category: string }
interface Place { mode: Choice['mode'], room_name: string, since: number }
interface Entry { serverUrl: string, participantToken: string }

const KEY = 'livekit-sessions.conversation'
const GONE = new Set([404, 403])

/** What this tab was in: a reload goes on with it. */
const remembered = (): Place | undefined => JSON.parse(sessionStorage.getItem(KEY) ?? 'null') ?? undefined

function remember (place: Place | undefined): void {
  if (place) sessionStorage.setItem(KEY, JSON.stringify(place))
  else sessionStorage.removeItem(KEY)
}

function problemOf (error: unknown): ProblemName {
  if (error instanceof Refused) {
    if (error.status === 0) return 'away'
    if (error.status === 401) return 'signedOut'
    if (error.problem === 'too-many-sessions') return 'limit'
    if (error.status === 429) return 'tooFast'
    if (error.problem === 'category-not-found') return 'category'
    if (GONE.has(error.status) || error.problem === 'started-session-ended') return 'over'
    return 'livekit'
  }
  if (error instanceof ConnectionError && error.reason === ConnectionErrorReason.NotAllowed) return 'over'
  return 'livekit'
}

function microphoneProblem (error: unknown): ProblemName {
  const failure = MediaDeviceFailure.getFailure(error as Error)
  if (failure === MediaDeviceFailure.PermissionDenied) return 'refused'
  return failure === MediaDeviceFailure.DeviceInUse ? 'busy' : 'none'
}

/**
 * @returns `phase`: choosing, joining, or in the conversation; `problem` of the last one, `microphone` of the microphone;
 * `agent`: what the service says of the agent, which the room alone does not tell; `transcript`: gives what it wrote down, if it does
 */
export function useConversation (api: Api, token: string) {
  const room = useMemo(() => new Room({ adaptiveStream: true, dynacast: true }), [])
  const entry = useRef<Entry>(undefined)
  const source = useMemo(() => TokenSource.literal(async () => entry.current!), [])
  const session = useSession(source, { room })
  const [place, setPlace] = useState<Place | undefined>(remembered)
  const [phase, setPhase] = useState<'choosing' | 'joining' | 'talking'>(place ? 'joining' : 'choosing')
  const [problem, setProblem] = useState<ProblemName>()
  const [microphone, setMicrophone] = useState<ProblemName>()
  const [agent, setAgent] = useState<string>()
  const [written, setWritten] = useState<string>()
  const leaving = useRef(false)
  /** The start that has had no room yet: tried again, it has the same key, so that it is the same session should its answer have been lost. */
  const unanswered = useRef<{ about: string, key: string }>(undefined)

  const fail = useCallback((name: ProblemName, keep = false) => {
    if (!keep) remember(undefined)
    setPlace(keep ? remembered() : undefined)
    setProblem(name)
    setPhase('choosing')
  }, [])

  const openMicrophone = useCallback(async () => {
    setMicrophone(undefined)
    await room.localParticipant.setMicrophoneEnabled(true).catch((error) => setMicrophone(microphoneProblem(error)))
  }, [room])

  const join = useCallback(async (found: Place, given: Entry) => {
    unanswered.current = undefined
    remember(found)
    setPlace(found)
    entry.current = given
    leaving.current = true // a room that cannot be entered is told of once: by the error
    await session.start({ tracks: { microphone: { enabled: false } } })
    leaving.current = false
    setPhase('talking')
    await openMicrophone()
  }, [session, openMicrophone])

  const start = useCallback(async (choice: Choice) => {
    setPhase('joining')
    setProblem(undefined)
    setAgent(undefined)
    // While the click still counts: a browser that wants one for sound has it.
    room.startAudio().catch(() => {})
    try {
      const about = JSON.stringify(choice)
      if (unanswered.current?.about !== about) unanswered.current = { about, key: crypto.randomUUID() }
      const params = { header: { 'idempotency-key': unanswered.current.key } }
      const since = Date.now()
      if (choice.mode === 'voice') {
        const { room_name: name, token, livekit_url: url } = await answer(api.POST('/api/v1/voice-sessions/start', { params, body: { agent_type: choice.agentType } }))
        await join({ mode: 'voice', room_name: name, since }, { serverUrl: url, participantToken: token })
      } else {
        const { room_name: name, access_token: token, room_url: url } = await answer(api.POST('/api/v1/video/create-room', { params, body: { counselor_category: choice.category } }))
        await join({ mode: 'video', room_name: name, since }, { serverUrl: url, participantToken: token })
      }
    } catch (error) {
      const name = problemOf(error)
      if (name === 'over') unanswered.current = undefined
      // A room that could be had and not entered is kept: it can be tried again.
      fail(name, remembered() !== undefined)
    }
  }, [api, room, join, fail])

  const rejoin = useCallback(async () => {
    const found = remembered()
    if (!found) return fail('over')
    setPhase('joining')
    setProblem(undefined)
    setAgent(undefined)
    try {
      const params = { path: { room_name: found.room_name } }
      if (found.mode === 'voice') {
        const { token, livekit_url: url } = await answer(api.POST('/api/v1/voice-sessions/{room_name}/token', { params }))
        await join(found, { serverUrl: url, participantToken: token })
      } else {
        const { access_token: token, room_url: url } = await answer(api.POST('/api/v1/video/{room_name}/token', { params }))
        await join(found, { serverUrl: url, participantToken: token })
      }
    } catch (error) {
      const name = problemOf(error)
      fail(name, name !== 'over')
    }
  }, [api, join, fail])

  /** Leaves and comes back, which for the service is a new beginning: it sends for agents again. */
  const callAgain = useCallback(async () => {
    leaving.current = true
    await session.end()
    await rejoin()
  }, [session, rejoin])

  const end = useCallback(async () => {
    const found = remembered()
    leaving.current = true
    remember(undefined)
    setPlace(undefined)
    setPhase('choosing')
    if (!found) return session.end()
    // First, and also when the page is closed meanwhile: what was ended is over.
    const how = { params: { path: { room_name: found.room_name } }, keepalive: true }
    try {
      await Promise.all([
        found.mode === 'voice' ? answer(api.DELETE('/api/v1/voice-sessions/{room_name}', how)) : answer(api.DELETE('/api/v1/video/{room_name}', how)),
        session.end()
      ])
    } catch (error) {
      if (!(error instanceof Refused && GONE.has(error.status))) setProblem(problemOf(error))
    }
  }, [api, session])

  // A reload goes on with what was there; React's second run of effects in development must not join twice.
  const resumable = useRef(place !== undefined)
  useEffect(() => {
    if (!resumable.current) return
    resumable.current = false
    rejoin().catch(() => {})
  }, [rejoin])

  useEffect(() => {
    const gone = (reason?: DisconnectReason) => {
      if (leaving.current) return
      if (reason === DisconnectReason.DUPLICATE_IDENTITY) fail('elsewhere', true)
      else if (reason === DisconnectReason.ROOM_DELETED || reason === DisconnectReason.PARTICIPANT_REMOVED || reason === DisconnectReason.ROOM_CLOSED) fail('endedElsewhere')
      else rejoin().catch(() => {}) // LiveKit's client has given up, but the session may go on, as after a reload; if not, the service knows
    }
    room.on(RoomEvent.Disconnected, gone)
    return () => { room.off(RoomEvent.Disconnected, gone) }
  }, [room, fail, rejoin])

  // The service knows what the room does not: that another agent was sent for, or that none could be had.
  useEffect(() => {
    if (phase !== 'talking' || !place) return
    const controller = new AbortController()
    let source: ReturnType<typeof openEvents> | undefined
    const follow = async () => {
      const { sessions } = await answer(api.GET('/api/v1/sessions', { params: { query: { state: 'live', limit: '20' } }, signal: controller.signal, fetch: untilAnswered }))
      const mine = sessions.find((one) => one.room_name === place.room_name)
      if (!mine || controller.signal.aborted) return
      setWritten(mine.transcript === 'writing' || mine.transcript === 'ready' ? mine.id : undefined)
      source = openEvents(`/api/v1/sessions/${mine.id}/events`, token)
      source.onmessage = ({ data }) => {
        const { type } = JSON.parse(data) as SessionEvent
        if (type === 'participant.joined') setAgent(undefined)
        else if (type.startsWith('agent.')) setAgent((before) => type === 'agent.dispatched' && before === 'agent.left' ? before : type)
      }
    }
    follow().catch(() => {})
    return () => {
      controller.abort()
      source?.close()
      setWritten(undefined)
    }
  }, [api, token, phase, place])

  /** What was said, as the service wrote it down; undefined when it does not. */
  const transcript = useMemo(() => written === undefined
    ? undefined
    : (form: 'text/vtt' | 'text/plain') => answer(api.GET('/api/v1/sessions/{id}/transcript', { params: { path: { id: written } }, headers: { accept: form }, parseAs: 'text' })), [api, written])

  return { session, phase, place, problem, microphone, agent, transcript, start, rejoin, end, openMicrophone, callAgain, dismiss: () => setProblem(undefined) }
}
