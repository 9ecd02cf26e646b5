// A token of a user, as a tool server verifies it: signature by the service's published key, and how long it is good.
import { createPublicKey, verify } from 'node:crypto'

export type Claims = Record<string, unknown> & { sub: string, aud: string }

/** @returns what the token says, or undefined when the service has not signed it or it is over. */
export async function claimsOf (authorization: string, serviceUrl: string): Promise<Claims | undefined> {
  const [header = '', body = '', signature = ''] = authorization.replace('Bearer ', '').split('.')
  const { kid } = JSON.parse(Buffer.from(header, 'base64url').toString() || '{}') as { kid?: string }
  const { keys } = await (await fetch(`${serviceUrl}/api/v1/agent/jwks.json`)).json() as { keys: Array<{ kid: string }> }
  const key = keys.find((one) => one.kid === kid)
  if (!key || !verify(null, Buffer.from(`${header}.${body}`), createPublicKey({ key, format: 'jwk' }), Buffer.from(signature, 'base64url'))) return undefined
  const claims = readClaims(authorization)
  return Number(claims.exp) * 1000 > Date.now() ? claims : undefined
}

/** What a token says, unverified: for whoever comes after the door. */
export function readClaims (authorization: string): Claims {
  return JSON.parse(Buffer.from(authorization.split('.')[1] ?? '', 'base64url').toString() || '{}') as Claims
}
