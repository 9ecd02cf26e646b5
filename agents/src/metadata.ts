// The dispatch metadata: what the service tells the agent about its session, checked before a job is accepted.
import { z } from 'zod'

export const AGENT_TYPES = ['workout', 'diet', 'supplement', 'tracker', 'scheduler', 'general'] as const
export type AgentType = typeof AGENT_TYPES[number]

const shared = {
  session_id: z.string().min(1).max(128),
  room_name: z.string().min(1).max(256),
  user_id: z.string().min(1).max(128),
  request_id: z.string().min(1).max(200),
  /** Of the span that sent for the agent (https://www.w3.org/TR/trace-context/#traceparent-header); there when the service is traced. */
  traceparent: z.string().max(100).optional(),
  /** Where the agent reaches the service, and the token with which it hands over transcript and usage of this session and asks for tokens for tools. A secret: never logged. */
  service: z.strictObject({ url: z.url({ protocol: /^https?$/ }).max(2000), token: z.string().min(1).max(1000) }).optional(),
  /** What is said is to be written down. */
  transcript: z.literal(true).optional(),
  /** The transcript is to have a summary. */
  summary: z.literal(true).optional(),
  /** The language that the user would like to speak (BCP 47). */
  language: z.string().max(35).optional(),
  /** A conversation in writing: neither side has a voice. */
  text_only: z.boolean().optional(),
  /** 1 for the session's first agent; each replacement counts one up. */
  dispatch: z.number().int().min(1)
}

/** Unknown members are refused: they mean another service, or another version of ours, is dispatching. */
const Shape = z.discriminatedUnion('mode', [
  z.strictObject({ ...shared, mode: z.literal('voice'), agent_type: z.enum(AGENT_TYPES).default('general') }),
  z.strictObject({
    ...shared,
    mode: z.literal('video'),
    counselor_category: z.string().max(200).nullish(),
    system_prompt: z.string().max(100_000).nullish()
  })
])

export type Metadata = z.infer<typeof Shape>
export type Mode = Metadata['mode']

/** Read metadata, or the reason it was refused (member names only, never values). */
export type MetadataResult = { ok: true, metadata: Metadata } | { ok: false, reason: string }

/**
 * Reads a job's metadata.
 * @param text the JSON of the dispatch.
 * @param roomName the job's room: metadata that names another one was not made for this job.
 */
export function readMetadata (text: string, roomName: string): MetadataResult {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { ok: false, reason: 'not JSON' }
  }
  const result = Shape.safeParse(value)
  if (!result.success) {
    return { ok: false, reason: result.error.issues.map((issue) => `${issue.path.join('.') || 'metadata'}: ${issue.code}`).join(', ') }
  }
  if (result.data.room_name !== roomName) return { ok: false, reason: 'room_name: not the job\'s room' }
  return { ok: true, metadata: result.data }
}
