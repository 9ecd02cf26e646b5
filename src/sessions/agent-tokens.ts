// The tokens of agents: each comes with a dispatch and is good for what the agents of that one session hand over and ask for.
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import type { Clock } from './clock.ts'
import { AgentTokenInvalid } from './errors.ts'
import type { Session } from './store.ts'

/** Whom the tokens are for: no other token of the service, of LiveKit or of a user names it. */
const AUDIENCE = 'livekit-sessions/agent'
/** The end of a session may move by as much as its start takes; after it come the last lines and reports, ms. */
const GRACE = 120_000

/** A part of a JWT (RFC 7515). */
export const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')

/** @param liveKitSecret the key is derived from it (RFC 5869): the agents have it as well, and whoever has it may do anything in any room */
export function createAgentTokens (liveKitSecret: string, clock: Pick<Clock, 'now'>) {
  const key = Buffer.from(hkdfSync('sha256', liveKitSecret, '', AUDIENCE, 32))
  const header = encode({ alg: 'HS256', typ: 'JWT' })
  const sign = (signed: string) => createHmac('sha256', key).update(signed).digest()

  return {
    /** A token for this session, until it is over at the latest. */
    issue ({ id, expires_at: expiresAt }: Pick<Session, 'id' | 'expires_at'>): string {
      const signed = `${header}.${encode({ aud: AUDIENCE, sub: id, exp: Math.ceil((expiresAt.getTime() + GRACE) / 1000) })}`
      return `${signed}.${sign(signed).toString('base64url')}`
    },

    /**
     * Checks that a token is this session's, and good. The algorithm is ours, whatever its header says.
     * @throws AgentTokenInvalid
     */
    check (token: string | undefined, sessionId: string): void {
      const [head = '', claims = '', signature = ''] = token?.split('.') ?? []
      const given = Buffer.from(signature, 'base64url')
      const expected = sign(`${head}.${claims}`)
      if (given.length !== expected.length || !timingSafeEqual(given, expected)) throw new AgentTokenInvalid()
      const { aud, sub, exp } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as { aud: string, sub: string, exp: number }
      if (aud !== AUDIENCE || sub !== sessionId || exp * 1000 <= clock.now()) throw new AgentTokenInvalid()
    }
  }
}

export type AgentTokens = ReturnType<typeof createAgentTokens>
