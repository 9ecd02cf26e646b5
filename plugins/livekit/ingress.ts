// LiveKit Ingress as the service uses it: made, listed and removed, of one room each.
import createError from '@fastify/error'
import { IngressInput as Input } from '@livekit/protocol'
import { IngressClient } from 'livekit-server-sdk'
import type { Ingress } from '../../src/sessions/ingress.ts'
import { createAside, type AsideOptions } from './aside.ts'
import { NO_TIME_LEFT } from './errors.ts'

/** Longest that a call may take, ms: LiveKit waits for some seconds for an Ingress that does not answer, and removes what it knows of all the same. */
const CALL_LIMIT = 5000
const LIST_LIMIT = 3000
/** A call with less than this left is not begun, ms. */
const LEAST_TIME = 20

const inputs = { rtmp: Input.RTMP_INPUT, whip: Input.WHIP_INPUT }

/** LiveKit's configuration does not say where streams are sent (`ingress.rtmp_base_url`, `ingress.whip_base_url`), or there was no time left to ask. */
export const IngressNotMade = createError('INGRESS_NOT_MADE', '%s', 500)

/** @throws LiveKitFailed, IngressNotMade; each says by `outcome` what became of the call */
export function createIngressCalls (options: AsideOptions): Ingress & { close: () => Promise<void> } {
  const { call, close } = createAside(new IngressClient(options.urls[0]!, options.apiKey, options.apiSecret, { requestTimeout: CALL_LIMIT / 1000 }), options)

  const limitOf = (longest: number, deadline: number) => {
    const limit = Math.min(longest, deadline - performance.now())
    if (limit < LEAST_TIME) throw Object.assign(new IngressNotMade('there is no time left'), { code: NO_TIME_LEFT, outcome: 'not_sent' as const })
    return limit
  }

  async function remove (id: string, deadline = Infinity) {
    try {
      await call('DeleteIngress', limitOf(CALL_LIMIT, deadline), (client) => client.deleteIngress(id))
    } catch (error) {
      if ((error as { liveKitStatus?: number }).liveKitStatus !== 404) throw error
    }
  }

  return {
    async create ({ name, roomName, kind, identity, participantName }, deadline) {
      const { ingressId: id, url, streamKey } = await call('CreateIngress', limitOf(CALL_LIMIT, deadline),
        (client) => client.createIngress(inputs[kind], { name, roomName, participantIdentity: identity, participantName }))
      if (url) return { id, url, streamKey }
      await remove(id, deadline)
      throw Object.assign(new IngressNotMade(`LiveKit has no address for it: ingress.${kind}_base_url`), { outcome: 'refused' as const })
    },

    // Never without a name: that lists everybody's.
    list: async (roomName, deadline = Infinity) => (await call('ListIngress', limitOf(LIST_LIMIT, deadline), (client) => client.listIngress({ roomName })))
      .map(({ ingressId: id, name }) => ({ id, name })),

    remove,
    close
  }
}
