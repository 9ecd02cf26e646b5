// The transcript of a call: hands over to the service what is said while it is said, sentence by sentence, so that a crash loses the last one at most.
import { voice } from '@livekit/agents'
import { randomUUID } from 'node:crypto'
import type { Call } from './call.ts'
import type { Logger } from './log.ts'
import { FAREWELL, handOver, serviceOf, type Service } from './service.ts'

/** `summary`: what all of it was about. */
export type Speaker = 'user' | 'agent' | 'tool' | 'summary'

/** Of one request, and of one line, as the service takes them (routes/agents.ts there). */
const BATCH = 8
const CHARACTERS = 8000
/** Lines that wait while the service is away; those said first go first. */
const WAITING = 1000
/** The tool with which the voice agent hangs up (voice.ts). */
export const END_CALL = 'end_call'
/** Milliseconds of silence after which what is said is another speech, whatever is still being recognised. */
const SAME_SPEECH = 2000

export interface Line { seq: number, revision: number, at: string, until: string, by: Speaker, text: string }

export interface Transcript {
  /** A new line. Grows by `set`, until nothing more is said of it. */
  begin (by: Speaker, text: string, at?: number, until?: number): { set (text: string, until?: number): void }
  /** Sends what is left, for 5 s at most, and that nothing more comes. */
  close (): Promise<void>
}

/**
 * Opens a transcript: lines go to the service one request after the other, again until it has them or refuses them for good.
 */
export function openTranscript (service: Service, log: Logger): Transcript {
  const writer = randomUUID()
  /** What the service does not have yet, by number. */
  const waiting = new Map<number, Line>()
  const giveUp = new AbortController()
  let count = 0
  let dropped = 0
  let isOpen = true
  let sending: Promise<void> | undefined

  async function send (done: boolean): Promise<void> {
    do {
      const lines = [...waiting.values()].sort((a, b) => a.seq - b.seq).slice(0, BATCH)
      const last = done && lines.length === waiting.size
      let sent: Line[] = []
      const batch = () => {
        sent = lines.map(({ seq }) => waiting.get(seq)!) // one may have grown since the last try
        return { writer, lines: sent, ...(last && { done: true }) }
      }
      if (!await handOver({ service, path: 'transcript', log, giveUp: giveUp.signal }, batch)) {
        isOpen = false
        waiting.clear()
        return
      }
      for (const line of sent) if (waiting.get(line.seq) === line) waiting.delete(line.seq)
    } while (waiting.size > 0)
  }

  /** Requests follow each other: what comes while one is under way goes with the next. */
  function flush (done = false): Promise<void> {
    const mine = (sending ?? Promise.resolve()).then(() => isOpen && (done || waiting.size > 0) ? send(done) : undefined)
    sending = mine.catch(() => {})
    return sending
  }

  function put (line: Line) {
    if (!isOpen) return
    if (waiting.size >= WAITING && !waiting.has(line.seq)) {
      if (dropped++ === 0) log.warn({ waiting: WAITING }, 'too many lines of the transcript wait: the next are lost')
      return
    }
    waiting.set(line.seq, line)
    flush()
  }

  // That somebody is at work: the service waits for the last lines of whoever has said so.
  sending = send(false).catch(() => {})

  return {
    begin (by, text, at = Date.now(), until = Date.now()) {
      const seq = ++count
      let line: Line = { seq, revision: 0, at: iso(at), until: iso(until), by, text: clean(text) }
      if (line.text) put(line)
      return {
        set (text, until = Date.now()) {
          const next = clean(text)
          if (!next || next === line.text) return
          line = { ...line, revision: line.revision + 1, text: next, until: iso(until) }
          put(line)
        }
      }
    },
    async close () {
      const patience = setTimeout(() => giveUp.abort(), FAREWELL)
      await flush(true)
      clearTimeout(patience)
      isOpen = false
    }
  }
}

const iso = (ms: number) => new Date(ms).toISOString()
/** As the service takes it: neither NUL nor half a character. */
const clean = (text: string) => text.replaceAll('\0', '').trim().slice(0, CHARACTERS).toWellFormed()

/** The end of a sentence, as far as it can be told by its last word. */
const isSentence = (text: string) => /[.!?…。！？]["'”’)\]]*\s*$/u.test(text)

/** The framework's TextOutput, which it does not export: given the words that the agent speaks, as they are heard. */
interface TextOutput {
  captureText (text: string | { text: string }): Promise<void>
  flush (): void
  onAttached (): void
  onDetached (): void
}

/**
 * Writes down a conversation, when the service wishes so: call before it starts.
 * @param summarise what it was about, asked for at its end.
 * @returns to be called when it has started.
 */
export function writeDown ({ ctx, metadata, log }: Call, session: voice.AgentSession, summarise?: () => Promise<string | undefined>): () => void {
  if (!metadata.transcript) return () => {}
  const service = serviceOf(metadata)
  if (!service) {
    log.error('a transcript is wanted, and the service does not say how it is reached: it needs SERVICE_URL')
    return () => {}
  }
  const transcript = openTranscript(service, log)
  ctx.addShutdownCallback(async () => {
    const summary = await summarise?.()
    if (summary) transcript.begin('summary', summary)
    await transcript.close()
  })

  // What the user says grows with each piece that is recognised; the item has it whole.
  let speechBegan: number | undefined
  let speechEnded: number | undefined
  let said: { text: string, line: ReturnType<Transcript['begin']> } | undefined
  session.on(voice.AgentSessionEventTypes.UserStateChanged, ({ newState }) => {
    // A noise before it, of which nothing was recognised, does not count.
    if (newState !== 'speaking') speechEnded = Date.now()
    else if (speechBegan === undefined || Date.now() - (speechEnded ?? 0) > SAME_SPEECH) speechBegan = Date.now()
  })
  session.on(voice.AgentSessionEventTypes.UserInputTranscribed, ({ transcript: text, isFinal }) => {
    if (isFinal && text.trim()) grow(text)
  })
  function grow (piece: string): void {
    const text = said ? `${said.text} ${piece}` : piece
    if (said) said.line.set(text, speechEnded)
    said = { text, line: said?.line ?? transcript.begin('user', text, speechBegan, Math.max(speechEnded ?? 0, speechBegan ?? 0) || undefined) }
    speechBegan = undefined
  }

  // What the agent says grows with each sentence that was heard. Lines whose item has not come yet, oldest first.
  let speaking: { text: string, line?: ReturnType<Transcript['begin']>, at: number, isOver: boolean } | undefined
  const unsettled: Array<NonNullable<typeof speaking>> = []
  const write = (spoken: NonNullable<typeof speaking>) => {
    if (spoken.line) spoken.line.set(spoken.text)
    else if (spoken.text.trim()) spoken.line = transcript.begin('agent', spoken.text, spoken.at)
  }
  const hear = (words: string) => {
    if (!speaking || speaking.isOver) {
      speaking = { text: '', at: Date.now(), isOver: false }
      unsettled.push(speaking)
      if (unsettled.length > 3) unsettled.shift()
    }
    speaking.text += words
    if (isSentence(speaking.text)) write(speaking)
  }
  const heard: TextOutput = {
    async captureText (text) { hear(typeof text === 'string' ? text : text.text) },
    flush () {
      if (!speaking) return
      speaking.isOver = true
      write(speaking)
    },
    onAttached () {},
    onDetached () {}
  }

  session.on(voice.AgentSessionEventTypes.ConversationItemAdded, ({ item }) => {
    if (item.type !== 'message' || !item.textContent) return
    const { textContent: text } = item
    if (item.role === 'user') {
      if (said) said.line.set(text, speechEnded)
      else transcript.begin('user', text)
      said = undefined
    } else if (item.role === 'assistant') {
      const place = unsettled.findIndex((one) => sameBeginning(one.text, text))
      const [one] = place < 0 ? [] : unsettled.splice(place, 1)
      if (one?.line) one.line.set(text)
      else transcript.begin('agent', text, one?.at ?? item.createdAt)
      if (one) one.isOver = true
    }
  })
  session.on(voice.AgentSessionEventTypes.FunctionToolsExecuted, ({ functionCalls, createdAt }) => {
    // Hanging up is the end of the session, which says so; its word may come too late to be one.
    for (const { name } of functionCalls) if (name !== END_CALL) transcript.begin('tool', name, createdAt, createdAt)
  })

  return () => {
    // Behind the part of the framework that gives words out as they are heard; it has no name for that place.
    const { nextInChain } = (session.output.transcription ?? {}) as { nextInChain?: { _sinks?: TextOutput[] } }
    if (nextInChain?._sinks) nextInChain._sinks.push(heard)
    else log.warn('the transcript has what the agent says only when it has said all of it')
  }
}

/** Whether one of two texts goes on where the other one stops. */
function sameBeginning (one: string, other: string): boolean {
  const [a = '', b = ''] = [one, other].map((text) => text.replace(/\s+/g, ' ').trim())
  return a !== '' && (a.startsWith(b) || b.startsWith(a))
}
