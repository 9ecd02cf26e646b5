// The environment: every variable, its default and its meaning in one schema, checked once at boot.
import env from '@fastify/env'
import { Type, type Static } from '@sinclair/typebox'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    config: Config
  }
}

const webAddress = '(ws|http)s?://[^\\s/?#@,]+(:\\d+)?(/[^\\s?#,]*)?'
const key = '[A-Za-z0-9+/]{43}=' // 32 bytes in base64
const Seconds = (fallback: number, minimum: number, maximum: number, description: string) =>
  Type.Integer({ default: fallback, minimum, maximum, description: `${description} (seconds)` })

/**
 * The contract with whoever deploys the service (A1.4): names, defaults and limits of all variables.
 * `.env.example` lists the same keys in the same order; a test compares them.
 */
export const ConfigSchema = Type.Object({
  LIVEKIT_URL: Type.String({ pattern: `^${webAddress}$`, description: 'LiveKit address that clients are given: ws(s):// or http(s)://' }),
  LIVEKIT_API_KEY: Type.String({ minLength: 1, description: 'LiveKit API key' }),
  LIVEKIT_API_SECRET: Type.String({ minLength: 32, description: 'LiveKit API secret, 32 characters or more' }),
  LIVEKIT_API_URL: Type.Optional(Type.String({ pattern: `^${webAddress}(,\\s*${webAddress})*$`, description: 'LiveKit address that the service itself calls, or those of several nodes of one LiveKit, comma list; LIVEKIT_URL when not set' })),
  LIVEKIT_WORKER_NUM_IDLE: Type.Integer({ default: 2, minimum: 0, maximum: 64, description: 'Idle agent processes kept warm by agents/ (A1.5)' }),
  VOICE_AGENT_NAME: Type.String({ default: 'voice-agent', maxLength: 128, description: 'Worker dispatched to voice rooms; empty = none' }),
  VIDEO_AGENT_NAME: Type.String({ default: 'avatar-agent', maxLength: 128, description: 'Worker dispatched to video rooms; empty = none' }),
  JWT_SECRET: Type.Optional(Type.String({ minLength: 32, description: 'HS256 secret of the users\' tokens, 32 bytes or more; this or JWT_JWKS_URL' })),
  JWT_JWKS_URL: Type.Optional(Type.String({ pattern: '^https?://[^\\s?#@]+$', description: 'Where the keys of the users\' tokens are published; this or JWT_SECRET' })),
  JWT_ISSUER: Type.Optional(Type.String({ description: 'Issuer that every user token must name; required with JWT_JWKS_URL' })),
  JWT_AUDIENCE: Type.Optional(Type.String({ description: 'Audience that every user token must name; required with JWT_JWKS_URL' })),
  JWT_ADMIN: Type.Optional(Type.String({ pattern: '^[^=\\s]+=[^=\\s]+$', description: 'Claim and value that make an administrator, as claim=value; a claim inside another by a dot (realm_access.roles=admin). When not set: role is "admin", or roles hold it' })),
  JWT_MAX_LIFETIME: Seconds(86_400, 60, 31_536_000, 'Longest lifetime of a user token that is accepted'),
  DATABASE_URL: Type.Optional(Type.String({ pattern: '^postgres(ql)?://', description: 'PostgreSQL to use; without it the service runs one of its own in DATA_DIR' })),
  DATA_DIR: Type.String({ default: './data', minLength: 1, description: 'Folder of the service\'s own PostgreSQL' }),
  HOST: Type.String({ default: '127.0.0.1', minLength: 1, description: 'Address to listen on' }),
  PORT: Type.Integer({ default: 3000, minimum: 0, maximum: 65_535, description: 'Port to listen on; 0 = any free one' }),
  LOG_LEVEL: Type.Union(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'].map((level) => Type.Literal(level)), { default: 'info', description: 'Least level that is logged' }),
  API_DOCS: Type.Unsafe<'on' | 'off'>({ type: 'string', enum: ['on', 'off'], default: 'on', description: 'Whether the page and the document of the API are served under /api/docs' }),
  WEB_UI: Type.Unsafe<'on' | 'off'>({ type: 'string', enum: ['on', 'off'], default: 'off', description: 'Whether the talk page and the console are served under /talk and /console' }),
  CORS_ORIGINS: Type.Optional(Type.String({ pattern: '^https?://[^\\s,*]+(,\\s*https?://[^\\s,*]+)*$', description: 'Origins of web clients, comma list; never *' })),
  TRUST_PROXY: Type.Optional(Type.String({ pattern: '^[0-9a-fA-F:./]+(,\\s*[0-9a-fA-F:./]+)*$', description: 'Addresses of proxies whose X-Forwarded-For is believed, comma list' })),
  MAX_SESSIONS_PER_USER: Type.Integer({ default: 5, minimum: 1, maximum: 1000, description: 'Live sessions one user may have (D4)' }),
  RATE_LIMIT_PER_MINUTE: Type.Integer({ default: 300, minimum: 0, maximum: 1_000_000, description: 'Requests per client and minute; 0 = no limit' }),
  START_LIMIT_PER_MINUTE: Type.Integer({ default: 10, minimum: 0, maximum: 1_000_000, description: 'Starts per user and minute, replays not counted; 0 = no limit' }),
  VOICE_TOKEN_TTL: Seconds(21_600, 60, 604_800, 'Lifetime of a voice join token (A2.4)'),
  VIDEO_TOKEN_TTL: Seconds(86_400, 60, 604_800, 'Lifetime of a video join token (B2)'),
  VOICE_MAX_DURATION: Type.Optional(Type.Integer({ minimum: 60, maximum: 604_800, description: 'Longest voice session (seconds); VOICE_TOKEN_TTL when not set (D7)' })),
  VIDEO_MAX_DURATION: Type.Optional(Type.Integer({ minimum: 60, maximum: 604_800, description: 'Longest video session (seconds); VIDEO_TOKEN_TTL when not set (D7)' })),
  DEPARTURE_TIMEOUT: Seconds(60, 1, 3600, 'How long a room waits for a user who left'),
  AGENT_JOIN_TIMEOUT: Seconds(15, 1, 600, 'How long until an agent counts as missing (D2)'),
  AGENT_MAX_DISPATCHES: Type.Integer({ default: 5, minimum: 1, maximum: 50, description: 'Dispatches per episode, the first included (D2)' }),
  END_ON_AGENT_FAILURE: Type.Boolean({ default: false, description: 'End a session whose agent has failed' }),
  VIDEO_DISPATCH_TIMEOUT: Seconds(7, 1, 60, 'How long create-room waits for its agent (B6)'),
  RECONCILE_INTERVAL: Seconds(15, 1, 3600, 'Time between two looks at a live session (D6)'),
  RETENTION_DAYS: Type.Integer({ default: 30, minimum: 2, maximum: 3650, description: 'Days that ended sessions and events are kept' }),
  SERVICE_URL: Type.Optional(Type.String({ pattern: '^https?://[^\\s/?#@,]+(:\\d+)?/?$', description: 'Where agents reach the service: they hand over transcripts and what they use, and ask for tokens for tools. When not set they do not' })),
  TRANSCRIPTS: Type.Unsafe<'on' | 'off'>({ type: 'string', enum: ['on', 'off'], default: 'off', description: 'Whether a start may ask for a transcript' }),
  TRANSCRIPT_KEYS: Type.Optional(Type.String({ pattern: `^${key}(,\\s*${key})*$`, description: 'Keys that seal transcripts, comma list, each 32 bytes in base64; the first seals, all open; required with TRANSCRIPTS' })),
  TOOL_TOKEN_KEYS: Type.Optional(Type.String({ pattern: `^${key}(,\\s*${key})*$`, description: 'Keys that sign the tokens with which tools act for a user, comma list, each 32 bytes in base64; the first signs, all are published' })),
  PRICES_FILE: Type.Optional(Type.String({ minLength: 1, description: 'JSON file of what usage costs' })),
  MONTHLY_MINUTES_PER_USER: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000, description: 'Minutes of connection that one user has in a calendar month (UTC); no limit when not set' })),
  RECORDINGS: Type.Unsafe<'off' | 'on' | 'audio' | 'composed'>({ type: 'string', enum: ['off', 'on', 'audio', 'composed'], default: 'off', description: 'Whether a start may ask for a recording by LiveKit Egress: on = voice as sound, video as a composed picture; audio and composed = the one or the other for both' }),
  S3_ENDPOINT: Type.Optional(Type.String({ pattern: '^https?://[^\\s/?#@,]+(:\\d+)?$', description: 'S3-compatible storage of recordings, as Egress, the service and browsers reach it; that of AWS in S3_REGION when not set' })),
  S3_REGION: Type.String({ default: 'us-east-1', pattern: '^[a-z0-9-]{1,64}$', description: 'Region of the storage' }),
  S3_BUCKET: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9._-]{3,63}$', description: 'Bucket of recordings; required with RECORDINGS' })),
  S3_ACCESS_KEY: Type.Optional(Type.String({ minLength: 1, description: 'Key that may put, get and delete objects there; required with RECORDINGS' })),
  S3_SECRET_KEY: Type.Optional(Type.String({ minLength: 8, description: 'Its secret; required with RECORDINGS' })),
  INGRESS: Type.Unsafe<'on' | 'off'>({ type: 'string', enum: ['on', 'off'], default: 'off', description: 'Whether a user may bring a stream into a session by LiveKit Ingress' }),
  WEBHOOK_ALLOW_PRIVATE: Type.Boolean({ default: false, description: 'Outgoing webhooks may go to addresses that are not public, and without TLS' }),
  REDIS_URL: Type.Optional(Type.String({ pattern: '^rediss?://', description: 'Redis that shares rate limits between replicas' })),
  METRICS_TOKEN: Type.Optional(Type.String({ minLength: 16, description: 'Bearer token that /metrics asks for when set' }))
})

export type Config = Static<typeof ConfigSchema>

const mayBeEmpty = new Set(['VOICE_AGENT_NAME', 'VIDEO_AGENT_NAME'])
const secrets = ['LIVEKIT_API_SECRET', 'JWT_SECRET', 'S3_SECRET_KEY', 'METRICS_TOKEN'] as const

export interface ConfigOptions {
  /** Variables as the process has them; an empty one counts as not set, save for the agent names. */
  environment: NodeJS.ProcessEnv
  /** Whether a `.env` file in the working folder fills in what the environment lacks. */
  dotenv?: boolean
}

/**
 * Decorates `app.config` with the checked environment, defaults applied.
 * @throws Error naming every variable that is missing or wrong, never its value
 */
export default fp(async (app, { environment, dotenv = false }: ConfigOptions) => {
  const data = Object.fromEntries(Object.entries(environment).filter(([name, value]) => value !== '' || mayBeEmpty.has(name)))
  try {
    await app.register(env, { schema: ConfigSchema, data, dotenv, env: false })
  } catch (error) {
    throw new Error(`The environment is not complete: ${explain(error)}. .env.example says what each variable means.`)
  }
  const wrong = contradictions(app.config)
  if (wrong.length > 0) throw new Error(`The environment is not right: ${wrong.join('; ')}.`)
}, { name: 'config' })

/** What a schema of single variables cannot see. */
function contradictions (config: Config): string[] {
  const wrong: string[] = []
  if (!config.JWT_SECRET && !config.JWT_JWKS_URL) wrong.push('JWT_SECRET or JWT_JWKS_URL is required')
  if (config.JWT_SECRET && config.JWT_JWKS_URL) wrong.push('JWT_SECRET and JWT_JWKS_URL exclude each other')
  if (config.JWT_JWKS_URL) {
    // RFC 8725 sections 3.8 and 3.9: keys are often shared by many tenants and many applications.
    for (const name of ['JWT_ISSUER', 'JWT_AUDIENCE'] as const) if (!config[name]) wrong.push(`${name} is required with JWT_JWKS_URL`)
    const { protocol, hostname } = new URL(config.JWT_JWKS_URL)
    if (protocol !== 'https:' && !isLoopback(hostname)) wrong.push('JWT_JWKS_URL must be https://')
  }
  const known = new Map<string, string>()
  for (const name of secrets) {
    const value = config[name]
    if (!value) continue
    if (isGuessable(value)) wrong.push(`${name} is a placeholder: make one with "openssl rand -hex 32"`)
    const other = known.get(value)
    if (other) wrong.push(`${[other, name].sort().join(' and ')} must differ`)
    known.set(value, name)
  }
  if (config.TRANSCRIPTS === 'on' && !config.TRANSCRIPT_KEYS) wrong.push('TRANSCRIPT_KEYS is required with TRANSCRIPTS')
  for (const name of ['TRANSCRIPT_KEYS', 'TOOL_TOKEN_KEYS'] as const) {
    const keys = config[name]?.split(',').map((one) => one.trim()) ?? []
    if (keys.some(isGuessable)) wrong.push(`${name} holds a placeholder: make each key with "openssl rand -base64 32"`)
    if (new Set(keys).size < keys.length) wrong.push(`${name} has a key twice`)
    if (keys.some((one) => known.has(one))) wrong.push(`${name} must differ from the other secrets`)
    for (const one of keys) known.set(one, name)
  }
  if (config.RECORDINGS !== 'off') for (const name of ['S3_BUCKET', 'S3_ACCESS_KEY', 'S3_SECRET_KEY'] as const) if (!config[name]) wrong.push(`${name} is required with RECORDINGS`)
  for (const name of [...secrets, 'LIVEKIT_API_KEY'] as const) if (config[name] !== config[name]?.trim()) wrong.push(`${name} begins or ends with a blank`)
  // Then everybody could say where a request comes from, and the limits per address would be none.
  if (config.TRUST_PROXY?.split(',').some((entry) => /\/0+$/.test(entry.trim()))) wrong.push('TRUST_PROXY must not trust every address')
  // The server SDK drops the path of its address without a word (livekit-server-sdk TwirpRPC).
  const called = config.LIVEKIT_API_URL ? 'LIVEKIT_API_URL' : 'LIVEKIT_URL'
  const addresses = config[called]!.split(',').map((address) => new URL(address.trim()))
  if (addresses.some(({ pathname }) => pathname !== '/')) wrong.push(`${called} must not have a path`)
  // Its regions have their own failover, in the SDK.
  if (addresses.length > 1 && addresses.some(({ hostname }) => hostname.endsWith('.livekit.cloud'))) wrong.push(`${called} must not list several addresses with LiveKit Cloud`)
  return wrong
}

const isLoopback = (hostname: string) => hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname)

/** Secrets of documentation: jwt.io's, in its old and its new form. */
const published = new Set(['your-256-bit-secret', 'your-384-bit-secret', 'your-512-bit-secret', 'a-string-secret-at-least-256-bits-long', 'a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long'])

/** A secret that can be guessed is none (RFC 8725 section 3.5): a placeholder, a published one, too few characters, one piece again and again. */
function isGuessable (value: string): boolean {
  const bare = value.trim().replace(/^[<[({"']+/, '')
  return published.has(value.trim()) ||
    /^(change|replace|your|example|placeholder|todo|insert|secret$)/i.test(bare) ||
    new Set(value).size < 8 ||
    /^(.{1,16}?)\1+.{0,15}$/.test(value)
}

interface SchemaError { instancePath: string, keyword: string, message?: string, params: Record<string, unknown> }

function explain (error: unknown): string {
  const errors = (error as { errors?: SchemaError[] }).errors ?? []
  if (errors.length === 0) return (error as Error).message
  const said = errors.map((one) => one.keyword === 'required'
    ? `${String(one.params.missingProperty)} is required`
    : `${one.instancePath.slice(1)} ${one.keyword === 'pattern' ? 'is not of the right form' : one.message ?? 'is wrong'}`)
  return [...new Set(said)].join('; ')
}
