// The words that several routes share: names, times, and the problems they may answer with.
import createError from '@fastify/error'
import { Type, type TObject, type TProperties } from '@sinclair/typebox'
import { agentTypes, ingressKinds, ingressStates, recordingStates, type AgentType } from '../src/sessions/vocabulary.ts'

export const roomNameExample = 'fitness-voice-alice-9f86d081884c7d659a2feaa0c55ad015'
export const roomName = Type.String({ pattern: '^[A-Za-z0-9._~:@|+=_-]{1,256}$', description: 'Name of the LiveKit room', examples: [roomNameExample] })
const agentTypeSchema = { type: 'string', enum: agentTypes, description: 'What the agent is for', examples: ['workout'] }
/** What is asked for (A3.5), and what a session has: null in the record of a video session, which no voice answer holds. */
export const agentType = Type.Unsafe<AgentType>({ ...agentTypeSchema, default: 'general' })
export const startedAgentType = Type.Unsafe<AgentType | null>(agentTypeSchema)
export const idempotencyKey = Type.Optional(Type.String({ pattern: '^[\\x21-\\x7e]{1,255}$', description: 'A new random value for each start that is meant, the same for its retries', examples: ['3f1c7c1e-8a52-4a86-9d0b-5a6e2d4b9d7f'] }))

export const transcriptWanted = Type.Optional(Type.Boolean({ description: 'Whether what is said is written down (docs/transcripts.md); 422 where no transcripts are kept' }))

export const summaryWanted = Type.Optional(Type.Boolean({ description: 'Whether the transcript is to have a summary, made at the end by the same language model; with `transcript` only' }))

export const recordingWanted = Type.Optional(Type.Boolean({ description: 'Whether the session is recorded, which LiveKit shows to the room (docs/recordings.md); 422 where none are made' }))

export const textOnly = Type.Optional(Type.Boolean({ description: 'A conversation in writing: the user types (topic lk.chat), the agent answers as text (topic lk.transcription); the join token allows no microphone' }))
export const languageWanted = Type.Optional(Type.String({ pattern: '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$', description: 'The language that the user would like to speak (BCP 47). An agent that does not know it speaks its own', examples: ['de'] }))

/** One of some words. */
export const choice = <const Words extends readonly string[]>(words: Words, description: string) => Type.Unsafe<Words[number]>({ type: 'string', enum: words, description, examples: [words[0]] })

export const idOf = (what: string) => Type.String({ format: 'uuid', description: `${what}'s id`, examples: ['7d1b6c0e-6a3c-4a53-9f6e-0d8f2f6f4f11'] })

/** A point in time that a client names (RFC 3339). */
export const givenTime = (description: string, example: string) => Type.String({ format: 'date-time', description, examples: [example] })

/** A point in time: ISO 8601, UTC. In JavaScript a Date, on the wire a string. */
export const at = (description: string) => Type.Unsafe<Date>(Type.String({ format: 'date-time', description, examples: ['2026-01-01T10:00:00.000Z'] }))

/** A point in time that may not have come. */
export const atOrNull = (description: string) => Type.Unsafe<Date | null>({ type: ['string', 'null'], format: 'date-time', description, examples: ['2026-01-01T10:00:00.000Z'] })

/** One of some words, or nothing yet. */
export const choiceOrNull = <const Words extends readonly string[]>(words: Words, description: string) => Type.Unsafe<Words[number] | null>({ oneOf: [{ type: 'string', enum: words }, { type: 'null' }], description, examples: [words[0]] })

/** An object of these properties and no other: what a client misspells is refused, not dropped. */
export const Strict = <Properties extends TProperties>(properties: Properties, options = {}): TObject<Properties> => Type.Object(properties, { additionalProperties: false, ...options })

export const ingressKind = choice(ingressKinds, 'How the stream is sent')

/** The ingress of a session, without its key. */
export const ingressProperties = {
  kind: ingressKind,
  state: choice(ingressStates, 'Being made, there, or being removed')
}

export const userIdPattern = '^[A-Za-z0-9._~:@|+=_-]{1,128}$'

/** A recording, wherever it is shown. */
export const Recording = Type.Object({
  id: idOf('The recording'),
  state: choice(recordingStates, 'Not begun, under way, whole, given up while the session went on, or deleted'),
  started_at: atOrNull('From when on it is recorded'),
  ended_at: atOrNull('Until when'),
  duration: Type.Unsafe<number | null>({ type: ['number', 'null'], description: 'Seconds' }),
  url: Type.Unsafe<string | null>({ type: ['string', 'null'], description: 'Where the file can be had for a quarter of an hour, by whoever has this link; null as long as it cannot, in lists of sessions, and in a session that is somebody else\'s' })
}, { title: 'Recording' })

const seconds = (description: string) => Type.Number({ minimum: 0, description: `${description}, to the millisecond` })
const count = (description: string) => Type.Integer({ minimum: 0, description })
/** What was used, of a session and of a day. */
export const usageProperties = {
  user_seconds: seconds('Connection of users'),
  agent_seconds: seconds('Connection of agents'),
  stt_seconds: seconds('Speech that was recognised'),
  tts_seconds: seconds('Speech that was made'),
  input_tokens: count('Tokens that the language model was given'),
  output_tokens: count('Tokens that the language model gave'),
  tool_calls: count('Tools that the agent called')
}
export const usageExample = { user_seconds: 92.41, agent_seconds: 93.02, stt_seconds: 21.3, tts_seconds: 38.64, input_tokens: 2140, output_tokens: 312, tool_calls: 1 }
export const costOfUsage = Type.Unsafe<{ currency: string, amount: number } | null>({
  oneOf: [Type.Object({ currency: Type.String({ description: 'ISO 4217' }), amount: Type.Number({ description: 'In its own unit, to a millionth' }) }, { title: 'Cost' }), { type: 'null' }],
  description: 'What it costs by the prices of now; null where none are configured'
})

const ValidationFailed = createError('VALIDATION_FAILED', 'The request does not have the form that is asked for.', 400)

/** The 400 of a schema, for what a schema cannot see: which field of the body, and what is asked of it. */
export function invalidBody (path: string, message: string): Error {
  return Object.assign(new ValidationFailed(), { members: { errors: [{ in: 'body', path, message }] } })
}

const meanings: Record<number, { description: string, title: string, code: string, detail: string, members?: object }> = {
  400: { description: 'The request is not valid', title: 'Bad Request', code: 'validation-failed', detail: 'The request does not have the form that is asked for.', members: { errors: [{ in: 'body', path: '/agent_type', message: 'must be equal to one of the allowed values' }] } },
  401: { description: 'No token, or one that is not valid', title: 'Unauthorized', code: 'unauthorized', detail: 'A valid bearer token is required.' },
  403: { description: 'Somebody else\'s session', title: 'Forbidden', code: 'not-your-session', detail: 'Not your session' },
  404: { description: 'No such session, or it is over', title: 'Not Found', code: 'session-not-found', detail: 'Session not found' },
  406: { description: 'In none of the forms that are asked for; the detail names those there are', title: 'Not Acceptable', code: 'not-acceptable', detail: 'It can be had as application/json, text/vtt and text/plain.' },
  409: { description: 'In conflict with what is there: the code says why', title: 'Conflict', code: 'start-in-progress', detail: 'A start with this Idempotency-Key is still running. Try again in a moment.', members: { retry_after: 1 } },
  413: { description: 'The body is too large', title: 'Payload Too Large', code: 'payload-too-large', detail: 'The request is too large.' },
  415: { description: 'The body is not JSON', title: 'Unsupported Media Type', code: 'unsupported-media-type', detail: 'The body is of a type that is not accepted here.' },
  422: { description: 'What is asked for cannot be done: the code says why', title: 'Unprocessable Entity', code: 'idempotency-key-reused', detail: 'This Idempotency-Key was used for a different request. Use a new key.' },
  429: { description: 'Too many requests, starts or sessions', title: 'Too Many Requests', code: 'too-many-sessions', detail: 'You have as many sessions as one user may have. End one to start another.', members: { retry_after: 60, limit: 5 } },
  500: { description: 'LiveKit or the service failed', title: 'Internal Server Error', code: 'internal-server-error', detail: 'Something went wrong on our side. Try again.' },
  503: { description: 'Not available right now', title: 'Service Unavailable', code: 'service-unavailable', detail: 'The service is not available right now. Try again later.', members: { retry_after: 1 } }
}

/** The problem documents (RFC 9457) an operation may answer with, for its response schemas. */
export function problems (...statuses: number[]) {
  return Object.fromEntries(statuses.map((status) => {
    const { description, title, code, detail, members } = meanings[status]!
    const value = { type: `urn:livekit-sessions:problem:${code}`, title, status, detail, instance: 'urn:livekit-sessions:request:0b9cf7a1-3c1e-4b0e-9d54-2f3a8f0f6a52', ...members }
    return [status, { description, content: { 'application/problem+json': { schema: { $ref: 'Problem#' }, examples: { problem: { value } } } } }]
  }))
}
