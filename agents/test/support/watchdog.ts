// A stand-in for the service's watchdog: told by LiveKit's webhooks, it dispatches another agent when one has left its user.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ParticipantInfo_Kind as Kind } from '@livekit/protocol'
import { WebhookReceiver, type WebhookEvent } from 'livekit-server-sdk'
import { dispatchAgain, type Session } from './session.ts'
import type { LiveKit } from './livekit.ts'

/** Listens for webhooks; `watch` says which session to care for. The server's key comes later: LiveKit needs the URL to start. */
export async function startWatchdog () {
  const events: WebhookEvent[] = []
  let watched: { livekit: LiveKit, session: Session } | undefined
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    response.end()
    if (!watched) return
    const { livekit, session } = watched
    const event = await new WebhookReceiver(livekit.apiKey, livekit.apiSecret).receive(body, request.headers.authorization)
    events.push(event)
    const { participant, room } = event
    const agentLeft = event.event === 'participant_left' && participant?.kind === Kind.AGENT && !participant.attributes['lk.publish_on_behalf']
    if (agentLeft && room?.name === session.roomName) await dispatchAgain(livekit, session)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    events,
    watch (livekit: LiveKit, session: Session) { watched = { livekit, session } },
    unwatch () { watched = undefined },
    stop () {
      server.close()
      server.closeAllConnections()
    }
  }
}
