// Who a verified token speaks for: the rules on its claims, and the user they make.

import type { User } from '../../src/sessions/caller.ts'

/** What a decoded token says, believed only as far as it is checked here. */
export interface Token { header: Record<string, unknown>, payload: Record<string, unknown> }

export interface ClaimRules {
  /** Longest lifetime accepted, seconds. */
  maxLifetime: number
  /** LiveKit's API key: what it signed is a join token or a webhook, never a user's. */
  livekitApiKey: string
  /** Claim and value that make an administrator, `claim=value`; role or roles when not given. */
  admin?: string
  /** How far the issuer's clock may be ahead, seconds. */
  leeway: number
}

const userId = /^[A-Za-z0-9._~:@|+=_-]{1,128}$/
const name = /^(?!\s*$)[^\p{C}\p{Zl}\p{Zp}]{1,254}$/u

/**
 * Reads the user out of a token whose signature, exp, nbf, iss and aud have been verified.
 * @param now seconds since the epoch
 * @returns the user, or the name of the rule that the token breaks
 */
export function toUser ({ header, payload }: Token, { maxLifetime, livekitApiKey, leeway, admin: adminClaim }: ClaimRules, now: number): User | string {
  const { sub, exp, iat = now, iss } = payload
  if (!isTyp(header.typ)) return 'typ'
  // RFC 7515 section 4.1.11: no extension is understood here, so none may be critical.
  if ('crit' in header) return 'crit'
  if ('video' in payload || 'sha256' in payload || iss === livekitApiKey) return 'livekit'
  if (typeof sub !== 'string' || !userId.test(sub)) return 'sub'
  if (!isTime(iat) || iat > now + leeway) return 'iat'
  if (!isTime(exp) || exp - iat > maxLifetime) return 'exp'

  const email = text(payload.email)
  const username = text(payload.username) ?? text(payload.preferred_username) ?? text(email?.split('@', 1)[0])
  return { id: sub, name: email ?? sub, username: username ?? sub, admin: isAdmin(payload, adminClaim) }
}

function isAdmin (payload: Token['payload'], claim: string | undefined): boolean {
  if (!claim) return payload.role === 'admin' || (Array.isArray(payload.roles) && payload.roles.includes('admin'))
  const [name = '', wanted] = claim.split('=')
  // A name with dots in it may stand as it is: many claims are web addresses.
  const value = Object.hasOwn(payload, name) ? payload[name] : name.split('.').reduce<unknown>((inner, part) => Object.hasOwn(Object(inner), part) ? (inner as Record<string, unknown>)[part] : undefined, payload)
  return value === wanted || (Array.isArray(value) && value.includes(wanted))
}

/** RFC 8725 section 3.11; at+jwt is RFC 9068's access token. */
function isTyp (typ: unknown): boolean {
  return typ === undefined || (typeof typ === 'string' && /^(application\/)?(jwt|at\+jwt)$/i.test(typ))
}

function isTime (value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER
}

/** A name that can be shown: others see it, so it holds no control, formatting or broken characters, and it is not blank. */
function text (value: unknown): string | undefined {
  return typeof value === 'string' && name.test(value) ? value : undefined
}
