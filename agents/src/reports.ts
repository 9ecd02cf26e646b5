// What a job process tells the worker's main process about its call, beside the framework's own messages.

export type AvatarState = 'starting' | 'ready' | 'failed'
export type ToolOutcome = 'ok' | 'error' | 'refused' | 'unavailable'
export type TextOutcome = 'taken' | 'cut' | 'dropped'
export type Part = 'stt' | 'llm' | 'tts'
/** What a turn is made of: its words recognised, its end noticed, the model's first token, a tool, the voice's first sound. */
export type TurnPart = 'recognition' | 'end_of_turn' | 'model' | 'tool' | 'speech'

export type Report =
  /** Sent before the room is entered: from here on a crash leaves a ghost behind. */
  | { type: 'entering', sessionId: string, requestId: string, jobId: string, roomName: string, identity: string }
  /** The room has been left in order: nothing to clean up whatever the process does now. */
  | { type: 'left' }
  /** Nobody caught this error: the process ends. */
  | { type: 'crashing', reason: string }
  | { type: 'avatar', state: AvatarState }
  | { type: 'tool', server: string, outcome: ToolOutcome }
  | { type: 'text', outcome: TextOutcome }
  /** A part of the conversation did not work for one turn. */
  | { type: 'failure', part: Part }
  /** Of several providers of a part one has failed, and the next one is asked; or it is back. */
  | { type: 'failover', part: Part, provider: string, available: boolean }
  /** Seconds from the end of the user's speech to the agent's, as the framework counts them. */
  | { type: 'answer', seconds: number }
  /** Seconds that one part of a turn took. */
  | { type: 'part', part: TurnPart, seconds: number }
  /** Seconds from the start of the session, or from the arrival of its user when that was later, to the agent's first sound. */
  | { type: 'first_sound', seconds: number }

/** The framework ignores messages whose `case` it does not know. */
const CASE = 'livekit-sessions'

/** Sends a report to the main process, then calls `sent`; does nothing else in a process that was not forked (tests). */
export function report (message: Report, sent: () => void = () => {}): void {
  if (process.connected) process.send?.({ case: CASE, report: message }, sent)
  else sent()
}

/** The report in a message from a child process, if it is one. */
export function reportIn (message: unknown): Report | undefined {
  const envelope = message as { case?: unknown, report?: Report } | null
  return envelope?.case === CASE ? envelope.report : undefined
}
