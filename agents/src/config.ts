// The configuration: every environment variable of the worker, checked at once on start.
import { z } from 'zod'
import { readMcpConfig, type McpServer } from './mcp/config.ts'
import { readProviders, type Provider } from './providers.ts'
import type { Part } from './reports.ts'
import { flawOfKey, flawOfSecret } from './secrets.ts'

export const AGENTS = ['voice', 'avatar', 'echo'] as const
export type AgentKind = typeof AGENTS[number]

const text = z.string().trim().min(1)
const httpUrl = z.url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL' })
const livekitUrl = z.url({ protocol: /^(wss?|https?)$/, error: 'must be a ws://, wss://, http:// or https:// URL' })
  .refine((url) => URL.canParse(url) && new URL(url).pathname === '/', 'must not have a path: the framework drops it')
const whole = (min: number, max: number, initial: number) => z.coerce.number().int().min(min).max(max).default(initial)

const common = {
  LIVEKIT_URL: livekitUrl,
  LIVEKIT_API_URL: livekitUrl.optional(),
  LIVEKIT_API_KEY: text,
  LIVEKIT_API_SECRET: z.string().min(32, 'must have at least 32 characters'),
  VOICE_AGENT_NAME: text.default('voice-agent'),
  VIDEO_AGENT_NAME: text.default('avatar-agent'),
  LIVEKIT_WORKER_NUM_IDLE: whole(1, 100, 2),
  MAX_JOBS: whole(1, 1000, 10),
  USER_JOIN_TIMEOUT: whole(1, 3600, 120),
  DEPARTURE_TIMEOUT: whole(1, 3600, 60),
  DRAIN_TIMEOUT: whole(0, 86_400, 3600),
  HEALTH_HOST: text.default('127.0.0.1'),
  HEALTH_PORT: whole(0, 65_535, 8081),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  PROMPTS_DIR: text.optional(),
  MAX_TOOL_CALLS: whole(0, 1_000_000, 500),
  MCP_CONFIG: z.string().default('')
}

const voice = {
  PROVIDERS: z.string().default(''),
  STT_BASE_URL: httpUrl.optional(),
  STT_API_KEY: text.default('none'),
  STT_MODEL: text.default('whisper-1'),
  STT_LANGUAGE: text.default('en'),
  LLM_BASE_URL: httpUrl.optional(),
  LLM_API_KEY: text.default('none'),
  LLM_MODEL: text.optional(),
  TTS_BASE_URL: httpUrl.optional(),
  TTS_API_KEY: text.default('none'),
  TTS_MODEL: text.default('tts-1'),
  TTS_VOICE: text.default('alloy'),
  TEXT_BURST: whole(1, 1000, 5),
  TEXT_INTERVAL: whole(1, 3600, 2),
  TEXT_MAX_CHARS: whole(1, 100_000, 2000),
  HISTORY_MAX_ITEMS: whole(1, 10_000, 100),
  HISTORY_MAX_CHARS: whole(1000, 10_000_000, 40_000),
  MAX_MODEL_CALLS: whole(1, 1_000_000, 2000),
  USER_SILENCE_ASK: whole(0, 86_400, 120),
  USER_SILENCE_END: whole(0, 86_400, 180)
}

const avatar = {
  OPENAI_API_KEY: text,
  REALTIME_MODEL: text.default('gpt-realtime'),
  REALTIME_BASE_URL: httpUrl.default('https://api.openai.com/v1'),
  REALTIME_VOICE: text.default('marin'),
  BEY_API_KEY: text,
  BEY_AVATAR_ID: text,
  BEY_API_URL: httpUrl.default('https://api.bey.dev'),
  AVATAR_JOIN_TIMEOUT: whole(1, 60, 6),
  AVATAR_SILENCE_TIMEOUT: whole(1, 60, 4)
}

const Common = z.object(common)
const Voice = z.object({ ...common, ...voice })
const Avatar = z.object({ ...common, ...avatar })

export type CommonConfig = z.infer<typeof Common> & {
  /** What the worker itself connects to; LIVEKIT_URL is what others (the avatar's cloud) are given. */
  serverUrl: string
  mcpServers: McpServer[]
}
export type VoiceConfig = CommonConfig & z.infer<typeof Voice> & {
  agent: 'voice'
  /** Who does each part, in the order in which they are asked. */
  providers: Record<Part, Provider[]>
}
export type AvatarConfig = CommonConfig & z.infer<typeof Avatar> & { agent: 'avatar' }
export type EchoConfig = CommonConfig & { agent: 'echo', echoVideo: boolean }
export type Config = VoiceConfig | AvatarConfig | EchoConfig

/** What a part needs that PROVIDERS does not name. */
const NEEDED = ['STT_BASE_URL', 'LLM_BASE_URL', 'LLM_MODEL', 'TTS_BASE_URL']

/** What somebody else gives out, and what is to be filled in. */
const KEYS = ['LIVEKIT_API_KEY', 'STT_API_KEY', 'LLM_API_KEY', 'LLM_MODEL', 'TTS_API_KEY', 'OPENAI_API_KEY', 'BEY_API_KEY', 'BEY_AVATAR_ID']

/** Every variable, in the order of .env.example (a test compares them). */
export const VARIABLES = ['AGENT', 'ECHO_MODE', ...Object.keys(common), ...Object.keys(voice), ...Object.keys(avatar)]

/** Thrown by loadConfig: one line per thing that is wrong. */
export class ConfigError extends Error {
  readonly problems: string[]
  constructor (problems: string[]) {
    super(`The configuration is not valid:\n${problems.map((problem) => `  ${problem}`).join('\n')}`)
    this.name = 'ConfigError'
    this.problems = problems
  }
}

/**
 * Checks the environment for one agent.
 * An empty variable counts as missing. Only what the chosen agent needs is asked for.
 * @param env the environment; AGENT says which agent, ECHO_MODE=video lets echo serve the avatar's name.
 * @throws ConfigError naming every variable that is missing or wrong.
 */
export function loadConfig (env: Record<string, string | undefined>): Config {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value.trim() !== ''))
  const agent = AGENTS.find((name) => name === given.AGENT)
  if (!agent) throw new ConfigError([given.AGENT ? `AGENT is "${given.AGENT}", must be one of ${AGENTS.join(', ')}` : `AGENT is missing (${AGENTS.join(', ')})`])

  const schema = { voice: Voice, avatar: Avatar, echo: Common }[agent]
  const result = schema.safeParse(given)
  const problems = result.success ? [] : result.error.issues.map((issue) => problem(String(issue.path[0]), issue.message, given))
  for (const name of Object.keys(schema.shape)) {
    const flaw = name === 'LIVEKIT_API_SECRET' ? flawOfSecret : KEYS.includes(name) ? flawOfKey : undefined
    const found = given[name] && flaw?.(given[name])
    if (found && !problems.some((line) => line.startsWith(`${name} `))) problems.push(problem(name, found, given))
  }
  if (given.LIVEKIT_API_KEY && given.LIVEKIT_API_KEY === given.LIVEKIT_API_SECRET) problems.push('LIVEKIT_API_KEY and LIVEKIT_API_SECRET must differ')
  let mcpServers: McpServer[] = []
  try {
    mcpServers = readMcpConfig(given.MCP_CONFIG ?? '', given)
  } catch (error) {
    problems.push((error as Error).message)
  }
  const providers: Partial<Record<Part, Provider[]>> = {}
  if (agent === 'voice') {
    try {
      Object.assign(providers, readProviders(given.PROVIDERS ?? '', given))
    } catch (error) {
      problems.push((error as Error).message)
    }
    for (const name of NEEDED) if (!given[name] && !providers[name.slice(0, 3).toLowerCase() as Part]) problems.push(`${name} is missing`)
  }
  if (given.ECHO_MODE && !['voice', 'video'].includes(given.ECHO_MODE)) problems.push('ECHO_MODE must be voice or video')
  if (!result.success || problems.length > 0) throw new ConfigError(problems)

  const { data } = result
  if (agent === 'voice') for (const part of ['stt', 'llm', 'tts'] as const) providers[part] ??= [ofVariables(part, data as z.infer<typeof Voice>)]
  return { ...data, agent, ...(agent === 'voice' && { providers }), mcpServers, serverUrl: data.LIVEKIT_API_URL ?? data.LIVEKIT_URL, echoVideo: given.ECHO_MODE === 'video' } as Config
}

/** The one server of a part, as its variables say; they have been found to be there. */
function ofVariables (part: Part, data: z.infer<typeof Voice>): Provider {
  const name = part.toUpperCase() as Uppercase<Part>
  return { provider: 'openai', base_url: data[`${name}_BASE_URL`], api_key: data[`${name}_API_KEY`], model: data[`${name}_MODEL`]!, voice: part === 'tts' ? data.TTS_VOICE : undefined }
}

/** The name under which the worker registers: what the service dispatches. */
export function agentName (config: Config): string {
  return servesVideo(config) ? config.VIDEO_AGENT_NAME : config.VOICE_AGENT_NAME
}

/** Whether the worker's sessions are of mode video. */
export function servesVideo (config: Config): boolean {
  return config.agent === 'avatar' || (config.agent === 'echo' && config.echoVideo)
}

function problem (name: string, message: string, given: Record<string, unknown>): string {
  return name in given ? `${name} is wrong: ${message}` : `${name} is missing`
}
