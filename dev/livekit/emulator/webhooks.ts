// The emulator's webhooks: signed like LiveKit's, in order for each room, repeated on LiveKit's schedule.
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type WebhookEvent } from '@livekit/protocol'
import { AccessToken } from 'livekit-server-sdk'

const WAITS = [1000, 2000, 4000, 8000] // ms between attempts: at 0, 1, 3, 7 and 15 s, then the event is dropped
const MAX_AGE = 30_000 // ms an event may wait behind others of its room before it is dropped untried
const VALID = 300 // seconds a webhook's signature lives

/** Returns `send(event)`, which never fails and never waits, and `stop()`, which drops what is still queued, as a crash would. */
export function createWebhooks ({ url, apiKey, apiSecret }: { url: string | undefined, apiKey: string, apiSecret: string }) {
  const queues = new Map<string, Promise<void>>()
  const stopped = new AbortController()

  function send (event: WebhookEvent): void {
    if (!url) return
    const room = event.room?.name ?? ''
    const body = event.toJsonString() // now: the room goes on changing while the event waits
    const queued = Date.now()
    const sent = (queues.get(room) ?? Promise.resolve())
      .then(() => Date.now() - queued > MAX_AGE ? undefined : deliver(url, body))
      .catch(() => {})
      .then(() => { if (queues.get(room) === sent) queues.delete(room) })
    queues.set(room, sent)
  }

  /** Any answer but 429 and 5xx (501 excepted) counts as delivered. The receiver may take as long as it likes: LiveKit sets no timeout. */
  async function deliver (url: string, body: string): Promise<void> {
    const token = new AccessToken(apiKey, apiSecret, { ttl: VALID })
    token.sha256 = createHash('sha256').update(body).digest('base64')
    // One signature for all attempts; the header has no "Bearer".
    const headers = { 'content-type': 'application/webhook+json', authorization: await token.toJwt() }
    for (const wait of [...WAITS, undefined]) {
      const status = await fetch(url, { method: 'POST', headers, body, signal: stopped.signal })
        .then(async (response) => { await response.body?.cancel(); return response.status }, () => 0)
      const again = status === 0 || status === 429 || (status >= 500 && status !== 501)
      if (!again || wait === undefined) return
      await sleep(wait, undefined, { signal: stopped.signal, ref: false })
    }
  }

  return { send, stop: () => stopped.abort() }
}
