// The three servers a conversation is made of. Each is asked with a limit, and once more when that may help; then the failure is told.
import { stt, type llm } from '@livekit/agents'
import * as openai from '@livekit/agents-plugin-openai'
import OpenAI from 'openai'
import type { VoiceConfig } from './config.ts'
import type { Part } from './reports.ts'

/**
 * Milliseconds a server may keep silent: until it begins to answer, and between two pieces of its answer. The user hears nothing meanwhile.
 * For speech, twice that has to be over before the framework gives up by itself (10 s), which would look like an interruption.
 */
const PATIENCE = { stt: 5000, llm: 8000, tts: 4000 }

/** The client repeats what may help, before an answer has begun: no connection, 408, 409, 429, 5xx, no answer in time. The framework would repeat everything. */
const REPETITIONS = 1
/** Longer than any patience: the limits are ours. */
const LIMIT = 60_000
export const ONCE = { maxRetry: 0, retryIntervalMs: 0, timeoutMs: LIMIT }

/**
 * @param onDeaf what was said could not be recognised: the framework would say nothing about it.
 * @returns what an AgentSession takes. Failures of the other two are its Error events.
 */
export function createParts (config: VoiceConfig, onDeaf: (error: unknown) => void) {
  return {
    stt: new Recognition({ client: client('stt', config.STT_BASE_URL, config.STT_API_KEY), apiKey: config.STT_API_KEY, model: config.STT_MODEL, language: config.STT_LANGUAGE, useRealtime: false }, onDeaf),
    llm: createModel(config),
    tts: new openai.TTS({ client: client('tts', config.TTS_BASE_URL, config.TTS_API_KEY), model: config.TTS_MODEL, voice: config.TTS_VOICE as 'alloy' }),
    connOptions: { sttConnOptions: ONCE, llmConnOptions: ONCE, ttsConnOptions: ONCE }
  }
}

export function createModel (config: VoiceConfig): llm.LLM {
  return new openai.LLM({ client: client('llm', config.LLM_BASE_URL, config.LLM_API_KEY), model: config.LLM_MODEL })
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
  const client = new OpenAI({
    baseURL,
    apiKey,
    timeout: LIMIT,
    maxRetries: REPETITIONS,
    // It would print pieces of answers that it cannot read.
    logLevel: 'off',
    fetch: (url, init) => impatient(url, init, PATIENCE[part])
  })
  // The plugin takes only an AbortError for an interruption, the client throws another: every interruption would count as a failure.
  const create = client.audio.speech.create.bind(client.audio.speech)
  client.audio.speech.create = ((...request: Parameters<typeof create>) => create(...request).catch((error: unknown) => {
    throw request[1]?.signal?.aborted ? new DOMException('interrupted', 'AbortError') : error
  })) as typeof create
  return client
}

/** fetch that gives up when nothing comes for `patience` milliseconds, before and in the body. */
export async function impatient (url: string | URL | Request, init: RequestInit | undefined, patience: number): Promise<Response> {
  // Held by the timer: AbortSignal.timeout inside AbortSignal.any is collected as garbage, and never fires.
  const silence = new AbortController()
  const timer = setTimeout(() => silence.abort(new DOMException('timed out', 'TimeoutError')), patience)
  const over = () => clearTimeout(timer)
  try {
    const response = await fetch(url, { ...init, signal: AbortSignal.any([silence.signal, ...(init?.signal ? [init.signal] : [])]) })
    if (!response.body) {
      over()
      return response
    }
    init?.signal?.addEventListener('abort', over)
    const body = response.body.pipeThrough(new TransformStream<Uint8Array, Uint8Array>({
      transform (piece, controller) {
        timer.refresh()
        controller.enqueue(piece)
      },
      flush: over
    }))
    return new Response(body, response)
  } catch (error) {
    over()
    throw error
  }
}
