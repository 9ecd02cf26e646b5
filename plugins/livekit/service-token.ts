// The tokens with which the service itself calls LiveKit.
import { createHmac, createSecretKey } from 'node:crypto'
import type { VideoGrant } from 'livekit-server-sdk'

/** Lifetime, seconds, and age at which the one token that serves many calls is made anew, ms: the SDK's lifetime, and half of it. */
const LIFETIME = 600
const RENEW_AFTER = 300_000

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
const header = encode({ alg: 'HS256' })

/**
 * Makes the `authHeader` of an SDK client: a token that allows what `grant` says and nothing else.
 * The SDK signs each call through WebCrypto, which takes 18 us of CPU; this takes 3 (bench/rpc.ts has what it does to a call).
 * Calls that name no room share one token; RoomAdmin calls need one per room.
 */
export function createServiceTokens (apiKey: string, apiSecret: string): (grant: VideoGrant) => Promise<Record<string, string>> {
  const key = createSecretKey(Buffer.from(apiSecret))
  const sign = (grant: VideoGrant) => {
    const now = Math.floor(Date.now() / 1000)
    const signed = `${header}.${encode({ video: grant, iss: apiKey, nbf: now, exp: now + LIFETIME })}`
    return { Authorization: `Bearer ${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}` }
  }
  let shared: { header: Record<string, string>, at: number } | undefined

  return async (grant) => {
    if (grant.room !== undefined) return sign(grant)
    if (!shared || Date.now() - shared.at > RENEW_AFTER) shared = { header: sign({ roomCreate: true, roomList: true }), at: Date.now() }
    return shared.header
  }
}
