// Tokens with which an agent's tools act for its user: short-lived, for one session and one tool server, signed so that anybody can verify them.
import { createPrivateKey, createPublicKey, randomUUID, sign } from 'node:crypto'
import { encode } from './agent-tokens.ts'
import type { Clock } from './clock.ts'
import { SessionNotFound, ToolTokensOff } from './errors.ts'
import type { Log } from './log.ts'
import type { SessionStore } from './store.ts'
import { readKeys } from './transcript-keys.ts'

/** Seconds that a tool token lives: the agent asks for the next one. */
const LIFETIME = 300
const ISSUER = 'livekit-sessions'
/** What comes before the 32 bytes of an Ed25519 key in PKCS #8 (RFC 8410 section 7). */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')

export interface ToolTokensDependencies {
  /** Comma list, each key 32 bytes in base64: the first signs, all are published. Undefined where there are none: then no agent gets one. */
  keys: string | undefined
  store: Pick<SessionStore, 'byId' | 'note'>
  clock: Clock
}

export function createToolTokens ({ keys: text, store, clock }: ToolTokensDependencies) {
  const keys = text
    ? readKeys(text).map(({ id, key: seed }) => {
      const key = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' })
      return { id, key, published: createPublicKey(key).export({ format: 'jwk' }) }
    })
    : []

  return {
    /**
     * A token for one tool server, as long as the session lives. It is on record before it is out.
     * @param id the session, as its agent's token says
     * @param audience the tool server: it must accept no token that is for another one
     * @throws ToolTokensOff, SessionNotFound when the session is over
     */
    async issue (id: string, audience: string, log: Log, deadline?: number): Promise<{ token: string, expires_at: Date }> {
      const [first] = keys
      if (!first) throw new ToolTokensOff()
      const session = await store.byId(id, deadline)
      if (session?.state !== 'starting' && session?.state !== 'live') throw new SessionNotFound()
      const now = Math.floor(clock.now() / 1000)
      const exp = now + LIFETIME
      const jti = randomUUID()
      const { id: kid, key } = first
      const signed = `${encode({ alg: 'EdDSA', typ: 'JWT', kid })}.${encode({ iss: ISSUER, sub: session.user_id, aud: audience, sid: session.id, mode: session.mode, agent_type: session.agent_type ?? undefined, iat: now, exp, jti })}`
      await store.note({ session_id: session.id, user_id: session.user_id, at: new Date(clock.now()), type: 'token.issued', actor: 'service', data: { audience, jti } }, deadline)
      log.info({ sessionId: session.id, userId: session.user_id, audience, jti }, 'token for a tool server issued')
      return { token: `${signed}.${sign(null, Buffer.from(signed), key).toString('base64url')}`, expires_at: new Date(exp * 1000) }
    },

    /** The public keys (RFC 7517, RFC 8037). */
    published: () => ({ keys: keys.map(({ id, published }) => ({ ...published, kid: id, use: 'sig', alg: 'EdDSA' })) })
  }
}

export type ToolTokens = ReturnType<typeof createToolTokens>
