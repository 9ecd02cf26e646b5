// The token with which a tool server may act for the user of this call: asked of the service, kept while it is good, never shown to the model.

/** Milliseconds before its end at which a token is replaced, and for one request to the service. */
const EARLY = 30_000
const REQUEST = 3000

/** Gives a token for a tool server. @throws when the service gives none: a call without it would be nobody's. */
export type UserTokens = (audience: string) => Promise<string>

/** Of a call: none where the service gives its agent none, or is not known. */
export function userTokensOf ({ tool_token: agentToken }: { tool_token?: string }, serviceUrl: string | undefined): UserTokens | undefined {
  return agentToken && serviceUrl ? createUserTokens(serviceUrl, agentToken) : undefined
}

/**
 * @param serviceUrl the service, as this machine reaches it.
 * @param agentToken of this session, from its dispatch.
 */
export function createUserTokens (serviceUrl: string, agentToken: string): UserTokens {
  const url = new URL('/api/v1/agents/tool-token', serviceUrl)
  const known = new Map<string, Promise<{ token: string, expires_at: string }>>()

  async function ask (audience: string): Promise<{ token: string, expires_at: string }> {
    const response = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${agentToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ audience }),
      redirect: 'error',
      signal: AbortSignal.timeout(REQUEST)
    })
    if (!response.ok) {
      await response.arrayBuffer()
      throw Object.assign(new Error('no token for a tool server'), { status: response.status })
    }
    return await response.json() as { token: string, expires_at: string }
  }

  return async (audience) => {
    for (;;) {
      const asked = known.get(audience) ?? ask(audience)
      known.set(audience, asked)
      try {
        const { token, expires_at: until } = await asked
        if (Date.parse(until) - Date.now() > EARLY) return token
        if (known.get(audience) === asked) known.delete(audience)
      } catch (error) {
        if (known.get(audience) === asked) known.delete(audience)
        throw error
      }
    }
  }
}
