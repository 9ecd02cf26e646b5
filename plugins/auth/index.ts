// Signing in: every bearer token becomes request.user, or one and the same 401.
import createError from '@fastify/error'
import jwt, { type FastifyJWTOptions } from '@fastify/jwt'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { User } from '../../src/sessions/caller.ts'
import { createJwks, publicKeyAlgorithms } from './jwks.ts'
import { toUser, type Token } from './user.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** An onRequest hook: sets `request.user`, or throws 401 (429 for an address that fails too often, 503 when keys cannot be fetched). */
    authenticate: (request: FastifyRequest) => Promise<void>
  }
}

declare module '@fastify/jwt' {
  interface FastifyJWT { user: User }
}

const Unauthorized = createError('UNAUTHORIZED', 'A valid bearer token is required.', 401)
const UnknownKey = createError('UNKNOWN_KEY', 'The token names no key of the set.', 401)

/** How far the clocks of the issuer and of this machine may be apart, seconds. */
const leeway = 5
const realm = 'Bearer realm="livekit-sessions"'
// One blank and three unpadded parts (RFC 6750 section 2.1, RFC 7515 section 2); the scheme's case does not matter.
const bearer = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/i

export default fp(async (app) => {
  const { config } = app
  const rules = { maxLifetime: config.JWT_MAX_LIFETIME, livekitApiKey: config.LIVEKIT_API_KEY, admin: config.JWT_ADMIN, leeway }

  await app.register(jwt, jwtOptions(config))

  app.decorate('authenticate', async (request) => {
    const { authorization } = request.headers
    const user = await verify(request)
    if (typeof user !== 'string') {
      request.user = user
      return
    }

    // Counted after the verdict: others behind the same address keep getting in with good tokens.
    await app.countRefusal(request)
    // RFC 6750 section 3.1: a client that sent no token is not told that one was wrong.
    const challenge = authorization?.toLowerCase().startsWith('bearer') ? `${realm}, error="invalid_token"` : realm
    throw Object.assign(new Unauthorized(), { headers: { 'www-authenticate': challenge }, context: { reason: user } })
  })

  /** The user, or for the log why there is none: a code, nothing of the token. */
  async function verify (request: FastifyRequest): Promise<User | string> {
    if (request.headers.authorization === undefined) return 'no token'
    let token: Token
    try {
      token = await request.jwtVerify<Token>()
    } catch (error) {
      const { code, statusCode } = error as { code?: string, statusCode?: number }
      if (statusCode === 503) {
        await app.countRefusal(request) // a flood of tokens while the keys are away is one all the same
        throw error
      }
      return String(code ?? 'malformed')
    } finally {
      // @fastify/jwt puts the claims there: nobody is signed in by their signature alone.
      request.user = null as unknown as User
    }
    return toUser(token, rules, Date.now() / 1000)
  }
}, { name: 'auth', dependencies: ['limits'], decorators: { fastify: ['config', 'countRefusal'] } })

function jwtOptions (config: FastifyInstance['config']): FastifyJWTOptions {
  const { JWT_SECRET: secret, JWT_JWKS_URL: url, JWT_ISSUER: issuer, JWT_AUDIENCE: audience } = config
  return {
    ...(secret ? { secret } : { secret: { public: publicKeys(url!) } }),
    decode: { complete: true },
    verify: {
      complete: true,
      algorithms: secret ? ['HS256'] : publicKeyAlgorithms,
      clockTolerance: leeway * 1000,
      // allowedIss and allowedAud alone let tokens pass that have neither claim.
      requiredClaims: ['sub', 'exp', ...(issuer ? ['iss'] : []), ...(audience ? ['aud'] : [])],
      ...(issuer ? { allowedIss: issuer } : {}),
      ...(audience ? { allowedAud: audience } : {}),
      extractToken: ({ headers }: FastifyRequest) => bearer.exec(headers.authorization ?? '')?.[1]
    }
  }
}

/** Which key a token is verified with. Of its header only `kid` and `alg` count; addresses in it (jku, x5u) never do. */
function publicKeys (url: string) {
  const keys = createJwks({ url })
  return async (_request: FastifyRequest, token: unknown): Promise<string> => {
    const pem = await keys.find((token as Token).header)
    if (!pem) throw new UnknownKey()
    return pem
  }
}
