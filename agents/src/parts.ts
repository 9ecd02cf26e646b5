// What a conversation is made of: recognition, language model, voice, each by one server or by several in order. Each is asked with a limit, and once more when that may help; then the failure is told.
import { inference, llm, stt, tts, type metrics } from '@livekit/agents'
import * as openai from '@livekit/agents-plugin-openai'
import OpenAI, { type ClientOptions } from 'openai'
import type { VoiceConfig } from './config.ts'
import type { Provider } from './providers.ts'
import { EagerRecognition, type EagerOptions } from './recognition.ts'
import { report, type Part } from './reports.ts'
import { VoiceDetection } from './voice-detection.ts'

/**
 * Milliseconds a server may keep silent: until it begins to answer, and between two pieces of its answer. The user hears nothing meanwhile.
 * For speech, twice that has to be over before the framework gives up by itself (10 s), which would look like an interruption.
 */
const PATIENCE = { stt: 5000, llm: 8000, tts: 4000 }

/** The client repeats what may help, before an answer has begun: no connection, 408, 409, 429, 5xx, no answer in time. The framework would repeat everything. */
const REPETITIONS = 1
/** Longer than any patience: the limits are ours. */
const LIMIT = 60_000
/** Milliseconds before a voice that failed is tried again, by a sentence that nobody hears. */
const RECOVERY = 10_000
export const ONCE = { maxRetry: 0, retryIntervalMs: 0, timeoutMs: LIMIT }
/** What the plugins themselves look at, where they have a limit of their own: LiveKit's inference, until recognition is connected and while a voice says nothing, which waits for the model too. */
const connOptions = { sttConnOptions: { ...ONCE, timeoutMs: PATIENCE.stt }, llmConnOptions: ONCE, ttsConnOptions: { ...ONCE, timeoutMs: PATIENCE.llm } }

/** Told what each request to each server took. */
export type OnMeasured = (measured: metrics.AgentMetrics) => void

/** What a conversation in writing is made of: nobody hears and nobody speaks, so no voice detection, recogniser or voice is made, and no plugin of theirs loaded. */
export function createWrittenParts (config: VoiceConfig, onMeasured?: OnMeasured) {
  return { llm: createModel(config, onMeasured), connOptions }
}

/**
 * What a spoken conversation is made of.
 * @param recognition what becomes of what is heard, and of what could not be recognised.
 * @param wish `language` (BCP 47) and `voice` of this conversation, when they are not the configuration's.
 * @returns what an AgentSession takes. Failures of the model and of the voice are its Error events.
 */
export async function createParts (config: VoiceConfig, recognition: EagerOptions, { language, voice }: { language?: string, voice?: string } = {}, onMeasured: OnMeasured = () => {}) {
  const spoken = language?.split('-')[0] || config.STT_LANGUAGE
  const { providers } = config
  const recognisers = await Promise.all(providers.stt.map((one) => recogniser(one, spoken, patienceOf('stt', providers.stt))))
  const voices = await Promise.all(providers.tts.map((one) => speaker(one, voice, spoken, patienceOf('tts', providers.tts))))
  for (const one of recognisers) one.on('metrics_collected', onMeasured)
  for (const one of voices) {
    // One that does not stream is made to by the framework, which measures that once more, and in its name (agents 1.9.0, tts/stream_adapter).
    one.on('metrics_collected', (measured) => { if (!measured.streamed || one.capabilities.streaming) onMeasured(measured) })
  }
  const heard = recognisers.length === 1 ? recognisers[0]! : inTurn('stt', providers.stt, recognisers, recognisersInTurn(recognisers))
  const vad = new VoiceDetection()
  return {
    vad,
    stt: heard.capabilities.streaming ? heard : new EagerRecognition(heard, recognition, vad.listener()),
    tts: voices.length === 1 ? voices[0]! : inTurn('tts', providers.tts, voices, voicesInTurn(voices)),
    ...createWrittenParts(config, onMeasured)
  }
}

/** The language model, or those that are asked one after the other. */
export function createModel ({ providers }: VoiceConfig, onMeasured: OnMeasured = () => {}): llm.LLM {
  const models = providers.llm.map((one) => model(one, patienceOf('llm', providers.llm)))
  for (const one of models) one.on('metrics_collected', onMeasured)
  return models.length === 1
    ? models[0]!
    : inTurn('llm', providers.llm, models, new llm.FallbackAdapter({ llms: models, attemptTimeout: LIMIT / 1000, maxRetryPerLLM: 0 }))
}

/** How long a server of this part may keep silent, and how often the same one is asked again: where another one can be asked, half as long and not at all. */
function patienceOf (part: Part, all: Provider[]) {
  const isAlone = all.length === 1
  return { patience: isAlone ? PATIENCE[part] : PATIENCE[part] / 2, repetitions: isAlone ? REPETITIONS : 0 }
}
type Patience = ReturnType<typeof patienceOf>

// A plugin is loaded only where it is named: it costs each process its memory.
async function recogniser ({ provider, base_url: baseURL = '', api_key: apiKey, model }: Provider, language: string, patience: Patience): Promise<stt.STT> {
  switch (provider) {
    case 'livekit': return new inference.STT({ model: model as never, language, ...(baseURL && { baseURL }) })
    case 'deepgram': {
      const { STT } = await import('@livekit/agents-plugin-deepgram')
      return new STT({ apiKey, model, language, ...(baseURL && { baseUrl: baseURL }) })
    }
    default: return new openai.STT({ client: client(baseURL, apiKey, patience), apiKey, model, language, useRealtime: false })
  }
}

function model ({ provider, base_url: baseURL = '', api_key: apiKey, model }: Provider, patience: Patience): llm.LLM {
  if (provider !== 'livekit') return new openai.LLM({ client: client(baseURL, apiKey, patience), model })
  const cloud = new inference.LLM({ model, ...(baseURL && { baseURL }) })
  // Its own client has no limit within an answer, and takes no other.
  const inside = cloud as unknown as { client: OpenAI }
  inside.client = inside.client.withOptions(within(patience))
  return cloud
}

async function speaker ({ provider, base_url: baseURL = '', api_key: apiKey, model, voice: own }: Provider, wished: string | undefined, language: string, patience: Patience): Promise<tts.TTS> {
  const voice = wished || own
  switch (provider) {
    case 'livekit': return new inference.TTS({ model: model as never, voice, language, ...(baseURL && { baseURL }) })
    case 'elevenlabs': {
      const { TTS } = await import('@livekit/agents-plugin-elevenlabs')
      return new TTS({ apiKey, model, voiceId: voice, ...(baseURL && { baseURL }) })
    }
    default: return new openai.TTS({ client: client(baseURL, apiKey, patience), model, voice: voice as 'alloy' })
  }
}

function recognisersInTurn (recognisers: stt.STT[]): stt.FallbackAdapter {
  const options = { sttInstances: recognisers, vad: new inference.VAD(), attemptTimeoutMs: PATIENCE.stt / 2, maxRetryPerSTT: 0 }
  return recognisers.some((one) => one.capabilities.streaming) ? new stt.FallbackAdapter(options) : new WholeUtterances(options)
}

/** Voices one after the other: what one of them fails at is not the conversation's failure as long as another one speaks. */
function voicesInTurn (voices: tts.TTS[]): tts.FallbackAdapter {
  const all = new tts.FallbackAdapter({ ttsInstances: voices, maxRetryPerTTS: 0, recoveryDelayMs: RECOVERY })
  for (const one of voices) {
    // The adapter would hand it on, and the session give up after the fourth.
    one.removeAllListeners('error')
    one.on('error', () => {})
  }
  return all
}

/** Tells the main process which of several has failed, and which is back. */
function inTurn<Adapter extends object> (part: Part, providers: Provider[], all: object[], adapter: Adapter): Adapter {
  const events = adapter as Adapter & { on (event: string, listener: (event: Record<string, unknown>) => void): void, sttInstances?: object[] }
  events.on(`${part}_availability_changed`, ({ [part]: one, available }) => {
    const place = (events.sttInstances ?? all).indexOf(one as object)
    report({ type: 'failover', part, provider: `${place + 1} ${providers[place]?.provider ?? ''}`, available: available === true })
  })
  return adapter
}

/** Servers that recognise an utterance as a whole: it goes to the next one when the one before has failed. As a stream it would be lost with the first. */
class WholeUtterances extends stt.FallbackAdapter {
  override get capabilities () { return { ...super.capabilities, streaming: false } }
}

/** What holds a client to the limits. */
function within ({ patience, repetitions }: Patience): ClientOptions {
  return {
    timeout: LIMIT,
    maxRetries: repetitions,
    // It would print pieces of answers that it cannot read.
    logLevel: 'off',
    fetch: (url, init) => impatient(url, init, patience)
  }
}

function client (baseURL: string, apiKey: string, patience: Patience): OpenAI {
  const client = new OpenAI({ baseURL, apiKey, ...within(patience) })
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
