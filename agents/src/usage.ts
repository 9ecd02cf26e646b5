// What a call uses, told to the service while it goes on: a crash loses what came after the last report.
import { voice, type metrics } from '@livekit/agents'
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Call } from './call.ts'
import type { Logger } from './log.ts'
import { FAREWELL, handOver, serviceOf, type Service } from './service.ts'
import { END_CALL } from './transcript.ts'

/** Milliseconds between two reports. */
const EVERY = 2000

/** Since this process began to serve the call, as the service takes it (routes/agents.ts there). */
export interface Totals { stt_ms: number, tts_ms: number, input_tokens: number, output_tokens: number, tool_calls: number }

export interface UsageReports {
  /** What it is now: sent at once, or two seconds after the report before. */
  put (totals: Totals): void
  /** Sends what is left, for 5 s at most. */
  close (): Promise<void>
}

/**
 * Reports follow each other, and each has all there is: one that is lost is in the next one.
 */
export function openUsage (service: Service, log: Logger): UsageReports {
  const writer = randomUUID()
  const giveUp = new AbortController()
  const hurry = new AbortController()
  let seq = 0
  let unsent: Totals | undefined
  let isOpen = true
  let sending: Promise<void> | undefined

  async function send (): Promise<void> {
    while (unsent && !giveUp.signal.aborted) {
      let sent: Totals | undefined
      const latest = () => {
        sent = unsent
        return { writer, seq: seq++, ...sent }
      }
      if (!await handOver({ service, path: 'usage', log, giveUp: giveUp.signal }, latest)) {
        isOpen = false
        return
      }
      if (unsent === sent) unsent = undefined
      await sleep(EVERY, undefined, { signal: hurry.signal }).catch(() => {})
    }
  }

  const flush = () => { sending ??= send().finally(() => { sending = undefined }) }

  return {
    put (totals) {
      if (!isOpen) return
      unsent = totals
      flush()
    },
    async close () {
      const patience = setTimeout(() => giveUp.abort(), FAREWELL)
      hurry.abort()
      await sending
      clearTimeout(patience)
      isOpen = false
    }
  }
}

/** Adds up what a conversation uses, and tells it when the service says how it is reached. */
export function meter ({ ctx, metadata, log }: Call) {
  const service = serviceOf(metadata)
  const reports = service && openUsage(service, log)
  const totals: Totals = { stt_ms: 0, tts_ms: 0, input_tokens: 0, output_tokens: 0, tool_calls: 0 }
  return {
    /** What one request took. Of requests only: providers in turn, and a voice that is made to stream, are measured by the framework once more. */
    add (measured: metrics.AgentMetrics): void {
      if (addTo(totals, measured)) reports?.put({ ...totals })
    },
    /**
     * Counts the tools of a conversation, and hands over what is left when the call ends: once, before it starts.
     * @param atEnd waited for before, because it uses something too.
     */
    follow (session: voice.AgentSession, atEnd?: () => Promise<unknown>): void {
      session.on(voice.AgentSessionEventTypes.FunctionToolsExecuted, ({ functionCalls }) => {
        // Hanging up is no tool of anybody's.
        totals.tool_calls += functionCalls.filter(({ name }) => name !== END_CALL).length
        reports?.put({ ...totals })
      })
      if (!reports) return
      ctx.addShutdownCallback(async () => {
        await atEnd?.()
        await reports.close()
      })
    }
  }
}

/** @returns whether there was something to add */
export function addTo (totals: Totals, measured: metrics.AgentMetrics): boolean {
  switch (measured.type) {
    case 'stt_metrics':
      totals.stt_ms += Math.round(measured.audioDurationMs)
      return true
    case 'tts_metrics':
      totals.tts_ms += Math.round(measured.audioDurationMs)
      return true
    case 'llm_metrics':
      totals.input_tokens += measured.promptTokens
      totals.output_tokens += measured.completionTokens
      return true
    case 'realtime_model_metrics':
      totals.input_tokens += measured.inputTokens
      totals.output_tokens += measured.outputTokens
      return true
    default:
      return false
  }
}
