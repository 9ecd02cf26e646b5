// LiveKit's webhooks: believed only with its signature over exactly these bytes.
import createError from '@fastify/error'
import { WebhookReceiver } from 'livekit-server-sdk'
import type { LiveKitEvent } from '../../src/sessions/rooms.ts'
import { toParticipant, wentWithRoom } from './participants.ts'

/** No signature, a wrong one, one of another key, or one over other bytes. */
export const WebhookNotSigned = createError('WEBHOOK_NOT_SIGNED', 'The webhook is not signed by this LiveKit.', 401)
/** Signed, but not a webhook event: never right later. */
export const WebhookNotReadable = createError('WEBHOOK_NOT_READABLE', 'The webhook is not an event of LiveKit.', 400)

/**
 * Makes the reader of webhooks.
 * @returns a function of the raw body and the Authorization header (LiveKit sends the bare JWT, without Bearer)
 * @throws WebhookNotSigned, WebhookNotReadable
 */
export function createWebhookReader (apiKey: string, apiSecret: string) {
  const receiver = new WebhookReceiver(apiKey, apiSecret)

  return async (body: Buffer, authorization: string | undefined): Promise<LiveKitEvent> => {
    let event
    try {
      event = await receiver.receive(body.toString(), authorization)
    } catch (cause) {
      // What comes after the check of signature and hash is the parsing of the body.
      if (cause instanceof SyntaxError || /JSON|decode|parse/i.test((cause as Error).message)) throw new WebhookNotReadable({ cause })
      throw new WebhookNotSigned({ cause })
    }
    return {
      id: event.id,
      type: event.event,
      roomName: event.room?.name ?? '',
      roomSid: event.room?.sid ?? '',
      participant: event.participant && { ...toParticipant(event.participant), wentWithRoom: wentWithRoom(event.participant) },
      at: new Date(Number(event.createdAt) * 1000)
    }
  }
}
