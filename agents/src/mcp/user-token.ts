// The token with which a tool server may act for the user of this call: asked of the service, kept while it is good, never shown to the model.
import { serviceOf, type Service } from '../service.ts'

/** Milliseconds before its end at which a token is replaced, and for one request to the service. */
const EARLY = 30_000
const REQUEST = 3000

/** Gives a token for a tool server. @throws when the service gives none: a call without it would be nobody's. */
export type UserTokens = (audience: string) => Promise<string>

/** Of a call: none where the service does not say how it is reached. */
export function userTokensOf (metadata: Parameters<typeof serviceOf>[0]): UserTokens | undefined {
  const service = serviceOf(metadata)
  return service && createUserTokens(service)
}

export function createUserTokens (service: Service): UserTokens {
  const url = new URL('tool-token', service.url)
  /** Of each audience the newest, and until when (by this machine's clock) it is given again: for ever as long as it is asked for. */
  const known = new Map<string, { token: Promise<string>, until: number }>()

  async function ask (audience: string): Promise<{ token: string, expires_at: string }> {
    const response = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${service.token}`, 'content-type': 'application/json' },
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

  // What has just been asked for is given however old it looks: the clocks of two machines may differ, and to ask again would not change that.
  return (audience) => {
    const kept = known.get(audience)
    if (kept && Date.now() < kept.until) return kept.token
    const asked = ask(audience)
    const fresh = { token: asked.then(({ token }) => token), until: Infinity }
    known.set(audience, fresh)
    asked.then((answer) => { fresh.until = Date.parse(answer.expires_at) - EARLY }, () => { fresh.until = 0 })
    return fresh.token
  }
}
