// The public keys of the users' tokens, kept as one set from the one configured address.
import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import createError from '@fastify/error'
import { request } from 'undici'
import { retryAfter } from '../../src/sessions/errors.ts'

const KeysUnavailable = createError('KEYS_UNAVAILABLE', 'The keys of the users\' tokens could not be fetched.', 503)

export interface JwksOptions {
  url: string
  /** For the whole of one fetch (ms). */
  timeout?: number
  /** Age at which a set is fetched again, in the background (ms): a key that was withdrawn stops working then. */
  maxAge?: number
  /** Age from which on a set is worth nothing (ms): keys that cannot be fetched for so long may have been withdrawn. */
  largestAge?: number
  /** Least time between two fetches (ms), whatever ids tokens name: no flood of them becomes a flood of requests. */
  cooldown?: number
}

const algorithms = ['RS256', 'PS256', 'ES256', 'EdDSA'] as const
/** The algorithms of users' tokens when keys are public: no symmetric one, so that no public key can serve as a secret. */
export const publicKeyAlgorithms: Array<typeof algorithms[number]> = [...algorithms]

const maxBytes = 256 * 1024
interface Key { pem: string, algorithms: readonly string[] }

/**
 * The set behind `url` (RFC 7517). `find` gives the PEM of the key that a token's header names, `undefined` when the set has no such key;
 * it throws a 503 when the set could not be asked. A known key goes on working while the address is down, for a day at most.
 */
export function createJwks ({ url, timeout = 1500, maxAge = 600_000, largestAge = 86_400_000, cooldown = 5000 }: JwksOptions) {
  let keys = new Map<string, Key>()
  let fetchedAt = -Infinity
  let triedAt = -Infinity
  let underWay: Promise<void> | undefined
  let failure: unknown

  async function fetchKeys (): Promise<void> {
    try {
      // undici follows no redirect unless told to: the configured address is the only one ever asked.
      const response = await request(url, { signal: AbortSignal.timeout(timeout), headers: { accept: 'application/jwk-set+json, application/json' } })
      if (response.statusCode !== 200) {
        await response.body.dump()
        throw new Error(`The key address answered ${response.statusCode}`)
      }
      keys = readKeys(JSON.parse(await readText(response.body)))
      fetchedAt = performance.now()
      failure = undefined
    } catch (error) {
      failure = error
    }
  }

  function refresh (): Promise<void> {
    if (!underWay && performance.now() - triedAt >= cooldown) {
      triedAt = performance.now()
      underWay = fetchKeys().finally(() => { underWay = undefined })
    }
    return underWay ?? Promise.resolve()
  }

  return {
    async find ({ kid, alg }: { kid?: unknown, alg?: unknown }): Promise<string | undefined> {
      const pick = () => {
        const key = typeof kid === 'string' ? keys.get(kid) : keys.size === 1 && kid === undefined ? [...keys.values()][0] : undefined
        return key?.algorithms.includes(alg as string) ? key.pem : undefined
      }
      const age = performance.now() - fetchedAt
      const known = age <= largestAge ? pick() : undefined
      if (known) {
        if (age > maxAge) refresh()
        return known
      }
      await refresh()
      const pem = performance.now() - fetchedAt <= largestAge ? pick() : undefined
      if (!pem && failure !== undefined) throw retryAfter(new KeysUnavailable({ cause: failure }), Math.ceil(cooldown / 1000))
      return pem
    }
  }
}

async function readText (body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > maxBytes) throw new Error(`The key set is larger than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function readKeys (set: unknown): Map<string, Key> {
  const { keys } = Object(set) as { keys?: unknown }
  if (!Array.isArray(keys)) throw new Error('The key address gave no key set')
  const usable = keys.slice(0, 100).map((jwk) => [String(jwk?.kid ?? ''), readKey(jwk)] as const)
  return new Map(usable.filter((entry): entry is [string, Key] => entry[1] !== undefined))
}

/** Keys for other uses, of other kinds or too short (RFC 8725 section 3.5) are as good as absent. */
function readKey (jwk: JsonWebKey & { use?: unknown, alg?: unknown }): Key | undefined {
  if (jwk?.use !== undefined && jwk.use !== 'sig') return
  try {
    const key = createPublicKey({ key: jwk, format: 'jwk' })
    const fitting = algorithmsOf(key).filter((name) => jwk.alg === undefined || jwk.alg === name)
    if (fitting.length > 0) return { pem: key.export({ type: 'spki', format: 'pem' }).toString(), algorithms: fitting }
  } catch {
    // Not a public key: the set may hold others.
  }
}

function algorithmsOf ({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): string[] {
  if (type === 'rsa' && details!.modulusLength! >= 2048) return ['RS256', 'PS256']
  if (type === 'ec' && details!.namedCurve === 'prime256v1') return ['ES256']
  if (type === 'ed25519') return ['EdDSA']
  return []
}
