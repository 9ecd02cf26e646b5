// The configuration of the MCP servers: which there are, how to sign in, which tools whom are allowed.
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { AGENT_TYPES } from '../metadata.ts'
import { flawOfKey } from '../secrets.ts'

const ToolName = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'a tool name has 1 to 64 letters, digits, _ or -')
const ToolList = z.array(ToolName).max(64)

const Auth = z.discriminatedUnion('type', [
  /** `Authorization: Bearer <value of the variable>` */
  z.strictObject({ type: z.literal('bearer'), token_env: z.string().min(1) }),
  /** `Authorization: Bearer <token of the service>` for the user of the call; `audience` is what the server calls itself. */
  z.strictObject({ type: z.literal('user'), audience: z.string().regex(/^[\x21-\x7e]{1,256}$/) }),
  /** Any header, e.g. `x-api-key`. */
  z.strictObject({ type: z.literal('header'), name: z.string().regex(/^[A-Za-z0-9-]{1,64}$/), value_env: z.string().min(1) })
])

const Server = z.strictObject({
  name: z.string().regex(/^[a-z0-9-]{1,32}$/),
  /** Streamable HTTP endpoint. */
  url: z.url({ protocol: /^https?$/ }),
  auth: Auth.optional(),
  /** Tools per agent type; `*` adds to every type. A tool that is not listed is not offered and not called. */
  allow: z.partialRecord(z.enum([...AGENT_TYPES, 'avatar', '*']), ToolList),
  /** Tools whose call may be repeated after a failure. */
  idempotent: ToolList.default([]),
  /** Repetitions of an idempotent call, with growing pauses. */
  retries: z.number().int().min(0).max(5).default(2),
  /** Milliseconds for connecting and for listing the tools, each. */
  connect_timeout: z.number().int().min(100).max(30_000).default(3000),
  /** Milliseconds for a call, connecting and its repetitions included: the caller hears nothing meanwhile but the filler. */
  call_timeout: z.number().int().min(100).max(60_000).default(6000),
  /** Bytes of one response; above it the response is cut off and the call fails. */
  max_response_bytes: z.number().int().min(1024).max(10_485_760).default(262_144),
  /** Characters of a result that reach the language model. */
  max_result_chars: z.number().int().min(100).max(100_000).default(4000)
})

const Config = z.strictObject({ servers: z.array(Server).max(16) })

/** One server, its credential resolved to a header, or to whom a token for the user of each call is to be given. */
export type McpServer = Omit<z.infer<typeof Server>, 'auth'> & { headers: Record<string, string>, audience?: string }

/**
 * Reads MCP_CONFIG.
 * @param source JSON, or the path of a file holding it; empty means no tools.
 * @param env where the variables that `auth` names are looked up: secrets stay out of the file.
 * @throws Error naming each thing that is wrong.
 */
export function readMcpConfig (source: string, env: Record<string, string | undefined>): McpServer[] {
  if (source.trim() === '') return []
  let value: unknown
  try {
    value = JSON.parse(source.trim().startsWith('{') ? source : readFileSync(source, 'utf8'))
  } catch (error) {
    throw new Error(`MCP_CONFIG is neither JSON nor a readable JSON file (${(error as Error).name})`)
  }
  const result = Config.safeParse(value)
  if (!result.success) throw new Error(result.error.issues.map((issue) => `MCP_CONFIG ${issue.path.join('.')}: ${issue.message}`).join('; '))

  const names = result.data.servers.map((server) => server.name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice) throw new Error(`MCP_CONFIG names the server "${twice}" twice`)
  return result.data.servers.map(({ auth, ...server }) => ({ ...server, headers: headersOf(server.name, auth, env), ...(auth?.type === 'user' && { audience: auth.audience }) }))
}

/** The tools of a server that an agent type may use. */
export function allowedTools (server: McpServer, agentType: typeof AGENT_TYPES[number] | 'avatar'): Set<string> {
  return new Set([...server.allow['*'] ?? [], ...server.allow[agentType] ?? []])
}

function headersOf (server: string, auth: z.infer<typeof Auth> | undefined, env: Record<string, string | undefined>): Record<string, string> {
  if (!auth || auth.type === 'user') return {}
  const variable = auth.type === 'bearer' ? auth.token_env : auth.value_env
  const secret = env[variable]
  const flaw = secret ? flawOfKey(secret) : 'is missing or empty'
  if (!secret || flaw) throw new Error(`MCP_CONFIG: server "${server}" needs the variable ${variable}, which ${flaw}`)
  return auth.type === 'bearer' ? { authorization: `Bearer ${secret}` } : { [auth.name]: secret }
}
