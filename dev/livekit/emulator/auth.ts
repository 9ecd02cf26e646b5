// Who may call the emulator: tokens and grants judged, and refusals worded, as LiveKit 1.13.5 does.
import { TokenVerifier, type ClaimGrants } from 'livekit-server-sdk'

const LEEWAY = 60 // seconds LiveKit accepts a token after its exp

/** An error in Twirp's JSON form: `{ code, msg, meta? }` with an HTTP status. */
export class TwirpError extends Error {
  readonly status: number
  readonly code: string
  readonly meta: Record<string, string> | undefined

  constructor (status: number, code: string, message: string, meta?: Record<string, string>) {
    super(message)
    this.status = status
    this.code = code
    this.meta = meta
  }
}

/** A refusal in plain text, as LiveKit's middleware answers before Twirp is reached. */
export class TextError extends Error {
  readonly status: number

  constructor (status: number, message: string) {
    super(message)
    this.status = status
  }
}

/**
 * Checks a bearer header or a bare token from the query; no token at all is no error yet, only no grants.
 * @throws TextError 401; for a bad signature its text repeats the whole token, as LiveKit 1.13.5 does.
 */
export function createVerifier (apiKey: string, apiSecret: string) {
  const verifier = new TokenVerifier(apiKey, apiSecret)
  return async (header: string | undefined, query?: string | null): Promise<ClaimGrants | undefined> => {
    if (!header && !query) return undefined
    if (header && !header.startsWith('Bearer ')) throw new TextError(401, 'invalid authorization header. Must start with Bearer ')
    const token = header ? header.slice('Bearer '.length) : query!
    const issuer = issuerOf(token)
    if (issuer === undefined) throw new TextError(401, 'invalid authorization token')
    if (issuer !== apiKey) throw new TextError(401, `invalid API key: ${issuer}`)
    try {
      return await verifier.verify(token, LEEWAY)
    } catch (error) {
      throw new TextError(401, `invalid token: ${token}, error: ${(error as Error).message}`)
    }
  }
}

function issuerOf (token: string): string | undefined {
  try {
    const { iss } = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString())
    return typeof iss === 'string' ? iss : ''
  } catch {
    return undefined
  }
}
