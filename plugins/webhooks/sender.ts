// One outgoing webhook: signed as Standard Webhooks says, sent once, bounded in every direction.
import { Resolver } from 'node:dns/promises'
import { Webhook } from 'standardwebhooks'
import { Agent, request } from 'undici'
import type { WebhookSender } from '../../src/sessions/outbox.ts'
import { lookupPublic, refusal } from './addresses.ts'

export interface SenderOptions {
  /** Whether it may go to addresses that are not public, and without TLS. */
  allowPrivate: boolean
  /** From the name's lookup to the answer's head, ms. */
  limit?: number
  /** Who is asked for the addresses of names. */
  resolver?: Pick<Resolver, 'resolve4' | 'resolve6'>
}

const CONNECT_LIMIT = 3000 // ms
/** What is read of an answer, so that its connection can be used again, bytes. */
const READ = 16 * 1024

export function createSender ({ allowPrivate, limit = 10_000, resolver = new Resolver({ timeout: 1000, tries: 2 }) }: SenderOptions): WebhookSender & { close: () => Promise<void> } {
  const agent = new Agent({
    connect: { timeout: CONNECT_LIMIT, ...(!allowPrivate && { lookup: lookupPublic(resolver) }) },
    keepAliveTimeout: 10_000,
    maxHeaderSize: 16 * 1024
  })

  return {
    async send ({ url, secrets }, { id, body }, stopping) {
      const refused = refusal(url, allowPrivate)
      if (refused) throw Object.assign(new Error(refused), { code: 'ADDRESS_NOT_ALLOWED' })
      // Of the machine's clock, not the rules': receivers compare it with theirs.
      const at = new Date()
      const limited = AbortSignal.timeout(limit)
      const signal = AbortSignal.any([limited, stopping])
      try {
        // undici follows no redirect unless told to.
        const response = await request(url, {
          dispatcher: agent,
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            'user-agent': 'livekit-sessions',
            'webhook-id': id,
            'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
            'webhook-signature': secrets.map((secret) => new Webhook(secret).sign(id, at, body)).join(' ')
          },
          body,
          signal
        })
        // What it says counts for nothing, nor does how long it takes to say it.
        await response.body.dump({ limit: READ, signal }).catch(() => {})
        return response.statusCode
      } catch (cause) {
        if (limited.aborted) throw Object.assign(new Error('no answer in time', { cause }), { code: 'TIMED_OUT' })
        throw cause
      }
    },
    close: () => agent.destroy()
  }
}
