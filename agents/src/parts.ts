// The three servers a conversation is made of. Each is asked with a limit, and once more when that may help; then the failure is told.
import { stt } from '@livekit/agents'
import * as openai from '@livekit/agents-plugin-openai'
import OpenAI from 'openai'
import type { VoiceConfig } from './config.ts'
import type { Part } from './reports.ts'

/** Milliseconds until a server begins to answer, and until it has ended. A user waits in silence meanwhile, and twice that with the repetition. */
const LIMITS = {
  stt: { begin: 5000, end: 8000 },
  llm: { begin: 8000, end: 30_000 },
  tts: { begin: 5000, end: 8000 }
}

/** The repetitions are the client's: it repeats what may help (no connection, 408, 409, 429, 5xx, no answer in time), the framework everything. */
const REPETITIONS = 1
const ONCE = { maxRetry: 0, retryIntervalMs: 0, timeoutMs: LIMITS.llm.begin }

/**
 * @param onDeaf what was said could not be recognised: the framework would say nothing about it.
 * @returns what an AgentSession takes. Failures of the other two are its Error events.
 */
export function createParts (config: VoiceConfig, onDeaf: (error: unknown) => void) {
  return {
    stt: new Recognition({ client: client('stt', config.STT_BASE_URL, config.STT_API_KEY), apiKey: config.STT_API_KEY, model: config.STT_MODEL, language: config.STT_LANGUAGE, useRealtime: false }, onDeaf),
    llm: new openai.LLM({ client: client('llm', config.LLM_BASE_URL, config.LLM_API_KEY), model: config.LLM_MODEL }),
    tts: new openai.TTS({ client: client('tts', config.TTS_BASE_URL, config.TTS_API_KEY), model: config.TTS_MODEL, voice: config.TTS_VOICE as 'alloy' }),
    connOptions: { sttConnOptions: ONCE, llmConnOptions: ONCE, ttsConnOptions: ONCE }
  }
}

const NOTHING_HEARD: stt.SpeechEvent = {
  type: stt.SpeechEventType.FINAL_TRANSCRIPT,
  alternatives: [{ text: '', language: '' as stt.SpeechData['language'], startTime: 0, endTime: 0, confidence: 0 }]
}

/** Speech recognition whose failure is told: the framework only logs it, and the user would not be answered. */
class Recognition extends openai.STT {
  readonly #onDeaf: (error: unknown) => void

  constructor (options: ConstructorParameters<typeof openai.STT>[0], onDeaf: (error: unknown) => void) {
    super(options)
    this.#onDeaf = onDeaf
  }

  override async _recognize (...[buffer, signal]: Parameters<openai.STT['_recognize']>): Promise<stt.SpeechEvent> {
    try {
      return await super._recognize(buffer, signal)
    } catch (error) {
      if (!signal?.aborted) this.#onDeaf(error)
      return NOTHING_HEARD
    }
  }
}

function client (part: Part, baseURL: string, apiKey: string): OpenAI {
  const { begin, end } = LIMITS[part]
  return new OpenAI({
    baseURL,
    apiKey,
    timeout: begin,
    maxRetries: REPETITIONS,
    fetch: (url, init) => fetch(url, { ...init, signal: AbortSignal.any([AbortSignal.timeout(end), ...(init?.signal ? [init.signal] : [])]) })
  })
}
