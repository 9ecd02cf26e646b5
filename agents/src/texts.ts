// What users type to the agent: so often, so long; the rest is dropped before it is held in memory.
import type { Room, TextStreamReader } from '@livekit/rtc-node'
import { isUser } from './call.ts'
import type { Logger } from './log.ts'
import { report } from './reports.ts'

/** Where LiveKit's clients send what a user types. */
const TOPIC = 'lk.chat'

/** Milliseconds within which a text must be complete: one that is never ended would be kept for the rest of the call. */
const READING = 10_000

export interface TextLimits {
  /** Texts a participant may send at once. */
  burst: number
  /** Seconds until he may send one more. */
  interval: number
  /** Characters of a text that are taken. */
  characters: number
}

/** Calls `onText` with each text of a user that the limits allow. The framework's own handler has no limit: a text may be 5 GB long there. */
export function listenToTexts (room: Room, limits: TextLimits, log: Logger, onText: (text: string) => void): void {
  const allowances = new Map<string, Allowance>()

  room.registerTextStreamHandler(TOPIC, (reader, { identity }) => {
    const participant = room.remoteParticipants.get(identity)
    if (!participant || !isUser(participant)) {
      reader.close()
      return
    }
    const allowance = allowances.get(identity) ?? createAllowance(limits)
    allowances.set(identity, allowance)
    const { allowed, noted } = allowance.take()
    if (!allowed) {
      if (!noted) log.warn({ burst: limits.burst, interval: limits.interval }, 'too many texts, dropping')
      report({ type: 'text', outcome: 'dropped' })
      reader.close()
      return
    }
    read(reader, limits.characters).then(({ text, cut }) => {
      if (cut) log.warn({ characters: limits.characters }, 'text too long, cut')
      report({ type: 'text', outcome: cut ? 'cut' : 'taken' })
      onText(text)
    }).catch(() => log.info('a text broke off'))
  })
}

/** The first `limit` characters of a text; the rest is not waited for. @throws when it breaks off, or is not complete in time */
export async function read (reader: TextStreamReader, limit: number): Promise<{ text: string, cut: boolean }> {
  let text = ''
  let late = false
  const timer = setTimeout(() => {
    late = true
    reader.close()
  }, READING)
  try {
    for await (const piece of reader) {
      text += piece
      if (text.length > limit) break
    }
  } finally {
    clearTimeout(timer)
  }
  if (late) throw new Error('not complete in time')
  // A cut may leave half a character.
  return { text: text.slice(0, limit).toWellFormed(), cut: text.length > limit }
}

/** A bucket that holds `burst` tokens and gets one more every `interval` seconds. */
export function createAllowance ({ burst, interval }: Pick<TextLimits, 'burst' | 'interval'>, now = () => performance.now()) {
  let tokens = burst
  let at = now()
  let noted = false
  return {
    /** Takes a token. `noted`: this bucket has been empty before since it was last full. */
    take (): { allowed: boolean, noted: boolean } {
      tokens = Math.min(burst, tokens + (now() - at) / 1000 / interval)
      at = now()
      if (tokens === burst) noted = false
      const allowed = tokens >= 1
      if (allowed) tokens--
      const before = noted
      noted ||= !allowed
      return { allowed, noted: before }
    }
  }
}

type Allowance = ReturnType<typeof createAllowance>
