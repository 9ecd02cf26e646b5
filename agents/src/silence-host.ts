// Keeps the inside of the agent inside: no prompt, tool call or raw result reaches a participant of the room.
import { voice } from '@livekit/agents'

/**
 * Cuts the framework's session host off before it exists.
 *
 * `AgentSession.start({ room })` of @livekit/agents 1.9 creates a host that answers anybody's requests on the byte stream
 * topic `lk.agent.session` (instructions, tool names, chat history, even "run this input") and sends every tool call with
 * its arguments and raw result to the user, unasked. There is no option against it. The host is a plain property of the
 * session, so this property is replaced by one that forgets what is assigned and gives back a host that does nothing.
 * test/leak.test.ts attacks a running agent; it must be run after every upgrade of the framework.
 *
 * Call it between `new AgentSession` and `start`.
 * @throws when the framework no longer has that property: rather no call than one that leaks.
 */
export function silenceHost (session: voice.AgentSession): void {
  if (!Object.hasOwn(session, 'sessionHost')) throw new Error('AgentSession has no sessionHost any more: see silence-host.ts before upgrading')
  const nothing = { registerSession () {}, async start () {}, async close () {}, _onAmdPrediction () {} }
  Object.defineProperty(session, 'sessionHost', { get: () => nothing, set: () => {} })
}
