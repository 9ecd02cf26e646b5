// The tools of all MCP servers as the framework's toolsets.
import { llm } from '@livekit/agents'
import { ifConversing } from '../call.ts'
import type { AgentType } from '../metadata.ts'
import type { Logger } from '../log.ts'
import { report } from '../reports.ts'
import { createMcpClient, ToolCallError, type McpTool } from './client.ts'
import { allowedTools, type McpServer } from './config.ts'
import type { UserTokens } from './user-token.ts'

/** Milliseconds a tool may take before the agent says that it is on it. */
const WAITING_AFTER = 1500

export interface ToolOptions {
  /** Calls in this session, of all servers together. */
  maxCalls: number
  /** Tokens with which servers act for the user of this call. */
  userTokens?: UserTokens
  /** What an agent with a voice of its own says when a tool takes long. */
  waiting?: string
}

/** One toolset per server that this agent type may use anything of. A tool name belongs to the first server that is allowed to offer it. */
export function mcpToolsets (servers: McpServer[], agentType: AgentType | 'avatar', log: Logger, { maxCalls, userTokens, waiting = '' }: ToolOptions): llm.Toolset[] {
  let calls = 0
  const taken = new Set<string>()
  const toolsets: llm.Toolset[] = []
  for (const server of servers) {
    const allowed = new Set([...allowedTools(server, agentType)].filter((name) => !taken.has(name)))
    for (const name of allowed) taken.add(name)
    if (allowed.size > 0) toolsets.push(toolset(server, allowed, log, waiting, mayCall, userTokens))
  }
  return toolsets

  function mayCall (): boolean {
    if (calls++ === maxCalls) log.warn({ limit: maxCalls }, 'no more tool calls in this session')
    return calls <= maxCalls
  }
}

function toolset (server: McpServer, allowed: Set<string>, log: Logger, waiting: string, mayCall: () => boolean, userTokens?: UserTokens): llm.Toolset {
  let update: ((tools: McpTool[]) => void) | undefined
  const client = createMcpClient({
    server,
    allowed,
    log,
    userTokens,
    onTools: (tools) => update?.(tools),
    onOutcome: (outcome) => report({ type: 'tool', server: server.name, outcome })
  })
  return llm.Toolset.create({
    id: `mcp-${server.name}`,
    tools: [],
    async setup ({ updateTools }) {
      update = (tools) => updateTools(tools.map(asTool))
      await client.start()
    },
    aclose: () => client.close()
  })

  function asTool ({ name, description, inputSchema }: McpTool) {
    return llm.tool({
      name,
      description,
      // The framework takes a JSON schema as it is, its types know only zod.
      parameters: inputSchema as never,
      async execute (args: Record<string, unknown>, { ctx, abortSignal }) {
        if (!mayCall()) {
          report({ type: 'tool', server: server.name, outcome: 'refused' })
          throw new llm.ToolError('There are no more tool calls in this session. Tell the user that you cannot do that any more.')
        }
        const filler = setTimeout(() => {
          if (waiting && !abortSignal?.aborted) ifConversing(() => ctx.session.say(waiting, { addToChatCtx: false }))
        }, WAITING_AFTER)
        const began = performance.now()
        try {
          return await client.call(name, args, abortSignal)
        } catch (error) {
          throw new llm.ToolError(error instanceof ToolCallError ? error.message : 'This tool is not available right now.')
        } finally {
          clearTimeout(filler)
          report({ type: 'part', part: 'tool', seconds: (performance.now() - began) / 1000 })
        }
      }
    })
  }
}
