// The tokens with which agents hand over what belongs to a session: each good for one session and one purpose.
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import { AgentTokenInvalid } from './errors.ts'

export interface AgentTokens {
  /** A token for this session, and for nothing else. */
  issue: (sessionId: string, expiresAt: Date) => string
  /** The session of a token that is good at `now`, ms. */
  read: (token: string, now: number) => string | undefined
}

/** A part of a JWT (RFC 7515). */
export const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')

/** @param keys by their ids: the first signs, all verify. Each purpose has keys of its own */
export function createAgentTokens (keys: Map<string, Buffer>): AgentTokens {
  const [[firstId, firstKey] = ['', Buffer.alloc(0)]] = keys
  const sign = (signed: string, key: Buffer) => createHmac('sha256', key).update(signed).digest()

  return {
    // A JWT, so that whatever cuts tokens out of logs knows it.
    issue (sessionId, expiresAt) {
      const signed = `${encode({ alg: 'HS256', kid: firstId })}.${encode({ sid: sessionId, exp: Math.floor(expiresAt.getTime() / 1000) })}`
      return `${signed}.${sign(signed, firstKey).toString('base64url')}`
    },

    // The algorithm is ours, whatever a header says.
    read (token, now) {
      const [header = '', claims = '', signature = ''] = token.split('.')
      const given = Buffer.from(signature, 'base64url')
      for (const key of keys.values()) {
        const expected = sign(`${header}.${claims}`, key)
        if (given.length !== expected.length || !timingSafeEqual(given, expected)) continue
        const { sid, exp } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as { sid: string, exp: number }
        return exp * 1000 > now ? sid : undefined
      }
      return undefined
    }
  }
}

/** The session that an agent's token is of; `tokens` undefined where none are given out. @throws AgentTokenInvalid */
export function sessionOf (tokens: AgentTokens | undefined, token: string | undefined, now: number): string {
  const id = token && tokens?.read(token, now)
  if (!id) throw new AgentTokenInvalid()
  return id
}

/**
 * The tokens with which agents report what they used. Their key is derived from LiveKit's secret, which the agents have as well:
 * whoever has it may do anything in any room.
 */
export function createUsageTokens (liveKitSecret: string): AgentTokens {
  return createAgentTokens(new Map([['usage', Buffer.from(hkdfSync('sha256', liveKitSecret, '', 'livekit-sessions usage token', 32))]]))
}
