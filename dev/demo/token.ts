// `npm run token -- --sub alice`: a user's JWT, for the running demo or for any service whose JWT_SECRET is set here.
import { createHmac } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { findDemo } from './demo-file.ts'

/** A part of a JWT as it is written (RFC 7515 section 3). */
export const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')

/**
 * Signs a user's token with HS256, as an app's own sign-in would.
 * @param claims `sub` and whatever else; `iat` now and `exp` in `ttl` seconds are added
 */
export function signUserToken (secret: string, claims: { sub: string } & Record<string, unknown>, ttl = 8 * 3600): string {
  const now = Math.floor(Date.now() / 1000)
  const signed = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ iat: now, exp: now + ttl, ...claims })}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: { sub: { type: 'string' }, email: { type: 'string' }, role: { type: 'string' }, ttl: { type: 'string', default: '28800' } }
  })
  const secret = process.env.JWT_SECRET ?? (await findDemo())?.secret
  if (!values.sub || !secret) {
    console.error(!values.sub
      ? 'Whose token? npm run token -- --sub alice [--email alice@example.com] [--role admin] [--ttl 3600]'
      : 'No demo is running here and JWT_SECRET is not set: start "npm run demo" first, or set JWT_SECRET.')
    process.exit(1)
  }
  console.log(signUserToken(secret, { sub: values.sub, email: values.email ?? `${values.sub}@example.com`, ...(values.role && { role: values.role }) }, Number(values.ttl)))
}
