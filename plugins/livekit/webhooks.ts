// LiveKit's webhooks: believed only with its signature over exactly these bytes.
import { createHash } from 'node:crypto'
import createError from '@fastify/error'
import { TokenVerifier, WebhookEvent } from 'livekit-server-sdk'
import type { LiveKitEvent } from '../../src/sessions/rooms.ts'
import { toReport } from './egress.ts'
import { toParticipant, wentWithRoom } from './participants.ts'

/** No signature, a wrong one, one of another key, or one over other bytes. */
export const WebhookNotSigned = createError('WEBHOOK_NOT_SIGNED', 'The webhook is not signed by this LiveKit.', 401)
/** Signed, but not a webhook event: never right later. */
export const WebhookNotReadable = createError('WEBHOOK_NOT_READABLE', 'The webhook is not an event of LiveKit.', 400)

/** An event of no kind and no room: what it tells is none of ours. */
const nothing: LiveKitEvent = { id: '', type: '', roomName: '', roomSid: '', at: new Date(0) }

/**
 * Makes the reader of webhooks.
 * @returns a function of the raw body and the Authorization header (LiveKit sends the bare JWT, without Bearer)
 * @throws WebhookNotSigned, WebhookNotReadable
 */
export function createWebhookReader (apiKey: string, apiSecret: string) {
  const verifier = new TokenVerifier(apiKey, apiSecret)

  return async (body: Buffer, authorization = ''): Promise<LiveKitEvent> => {
    try {
      const { sha256 } = await verifier.verify(authorization)
      if (sha256 !== createHash('sha256').update(body).digest('base64')) throw new Error('the signature is over other bytes')
    } catch (cause) {
      throw Object.assign(new WebhookNotSigned({ cause }), { headers: { 'www-authenticate': 'Bearer realm="webhooks"' } })
    }
    let event: WebhookEvent
    try {
      const { json, isStorable } = parse(body.toString())
      if (!isStorable) return nothing
      event = WebhookEvent.fromJson(json, { ignoreUnknownFields: true })
    } catch (cause) {
      throw new WebhookNotReadable({ cause })
    }
    return {
      id: event.id,
      type: event.event,
      roomName: event.room?.name ?? '',
      roomSid: event.room?.sid ?? '',
      participant: event.participant && { ...toParticipant(event.participant), wentWithRoom: wentWithRoom(event.participant) },
      egress: event.egressInfo && toReport(event.egressInfo),
      at: new Date(Number(event.createdAt) * 1000)
    }
  }
}

/** LiveKit signs whatever others call their rooms: NUL and lone surrogates are in no name of ours, and PostgreSQL has no place for them. */
function parse (text: string) {
  let isStorable = true
  const json = JSON.parse(text, (_key, value) => {
    if (typeof value === 'string' && (value.includes('\0') || !value.isWellFormed())) isStorable = false
    return value
  })
  return { json, isStorable }
}
