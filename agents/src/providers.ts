// Who recognises, thinks and speaks: servers and clouds by name, in the order in which they are asked.
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import type { Part } from './reports.ts'
import { flawOfKey } from './secrets.ts'

const text = z.string().trim().min(1)
const keyed = { api_key_env: text.optional() }

/** Any server with OpenAI's HTTP interface. */
const openai = z.strictObject({ provider: z.literal('openai'), base_url: z.url({ protocol: /^https?$/ }), ...keyed, model: text, voice: text.optional() })
/** LiveKit's own inference, with LIVEKIT_API_KEY and LIVEKIT_API_SECRET of a project of LiveKit Cloud; models as `provider/model`. */
const livekit = z.strictObject({ provider: z.literal('livekit'), base_url: z.url({ protocol: /^https?$/ }).optional(), model: text, voice: text.optional() })
const deepgram = z.strictObject({ provider: z.literal('deepgram'), base_url: z.url({ protocol: /^wss?$/ }).optional(), ...keyed, api_key_env: text, model: text })
const elevenlabs = z.strictObject({ provider: z.literal('elevenlabs'), base_url: z.url({ protocol: /^https?$/ }).optional(), api_key_env: text, model: text, voice: text })

const Providers = z.strictObject({
  stt: z.array(z.discriminatedUnion('provider', [openai, livekit, deepgram])).min(1).max(8).optional(),
  llm: z.array(z.discriminatedUnion('provider', [openai, livekit])).min(1).max(8).optional(),
  tts: z.array(z.discriminatedUnion('provider', [openai, livekit, elevenlabs])).min(1).max(8).optional()
})

export type ProviderName = 'openai' | 'livekit' | 'deepgram' | 'elevenlabs'
/** One of them, its key looked up. */
export interface Provider { provider: ProviderName, base_url?: string, api_key: string, model: string, voice?: string }

/**
 * Reads PROVIDERS.
 * @param source JSON, or the path of a file holding it; a part that it does not name is what the variables of the part say.
 * @param env where the variables that `api_key_env` names are looked up: secrets stay out of the file.
 * @throws Error naming each thing that is wrong.
 */
export function readProviders (source: string, env: Record<string, string | undefined>): Partial<Record<Part, Provider[]>> {
  if (source.trim() === '') return {}
  let value: unknown
  try {
    value = JSON.parse(source.trim().startsWith('{') ? source : readFileSync(source, 'utf8'))
  } catch (error) {
    throw new Error(`PROVIDERS is neither JSON nor a readable JSON file (${(error as Error).name})`)
  }
  const result = Providers.safeParse(value)
  if (!result.success) throw new Error(result.error.issues.map((issue) => `PROVIDERS ${issue.path.join('.')}: ${issue.message}`).join('; '))
  return Object.fromEntries(Object.entries(result.data).map(([part, list]) => [part, list.map((one) => {
    const { api_key_env: variable, ...provider } = one as typeof one & { api_key_env?: string }
    const key = variable ? env[variable] : 'none'
    const flaw = key ? flawOfKey(key) : 'is missing or empty'
    if (!key || flaw) throw new Error(`PROVIDERS: ${part} by ${provider.provider} needs the variable ${variable}, which ${flaw}`)
    return { ...provider, api_key: key }
  })]))
}
