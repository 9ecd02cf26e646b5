// The words of a session, each list once: what the record, the API document and the audit trail may say.

export const modeNames = ['voice', 'video'] as const
export type ModeName = typeof modeNames[number]

/** What a voice agent is for (A3.5). */
export const agentTypes = ['workout', 'diet', 'supplement', 'tracker', 'scheduler', 'general'] as const
export type AgentType = typeof agentTypes[number]

/** The life of a session, in its order; `ended` is final. */
export const states = ['starting', 'live', 'ending', 'ended'] as const
export type State = typeof states[number]

/** Why a session ended (docs/design.md says who decides on which). */
export const endReasons = ['user', 'admin', 'agent', 'idle', 'lost', 'max_duration', 'agent_failed', 'start_failed'] as const
export type EndReason = typeof endReasons[number]

export const agentStates = ['none', 'dispatched', 'joined', 'left', 'failed'] as const
export type AgentState = typeof agentStates[number]

/** Lines of the history and audit trail. */
export const eventTypes = ['session.started', 'session.ended', 'participant.joined', 'participant.left', 'agent.dispatched', 'agent.joined', 'agent.left', 'agent.failed', 'token.issued', 'access.denied', 'admin.read', 'category.created', 'category.changed', 'endpoint.created', 'endpoint.changed', 'endpoint.deleted', 'endpoint.secret_rotated', 'delivery.retried', 'transcript.ready', 'transcript.deleted', 'recording.started', 'recording.ready', 'recording.failed', 'recording.deleted', 'ingress.created', 'ingress.deleted', 'user.erased'] as const
export type EventType = typeof eventTypes[number]

/** What the app's backend can be told of by outgoing webhooks. */
export const messageTypes = ['session.started', 'session.ended', 'agent.joined', 'agent.failed', 'transcript.ready', 'recording.ready'] as const
export type MessageType = typeof messageTypes[number]

/** Where a message to an endpoint is: still to be delivered, answered 2xx, or given up. */
export const deliveryStates = ['pending', 'delivered', 'dead'] as const
export type DeliveryState = typeof deliveryStates[number]

/** Where a transcript that was asked for is: written while the call goes on, whole, or deleted by its owner. */
export const transcriptStates = ['writing', 'ready', 'deleted'] as const
export type TranscriptState = typeof transcriptStates[number]

/** Where a recording that was asked for is: not begun, under way, whole, given up (the call went on), or deleted by its owner. */
export const recordingStates = ['pending', 'recording', 'ready', 'failed', 'deleted'] as const
export type RecordingState = typeof recordingStates[number]

/** Where the ingress of a session is: asked of LiveKit, there, or to be removed. */
export const ingressStates = ['making', 'ready', 'removing'] as const
export type IngressState = typeof ingressStates[number]

/** How a stream comes in. */
export const ingressKinds = ['rtmp', 'whip'] as const
export type IngressKind = typeof ingressKinds[number]

/** Whose a line of a transcript is; of a tool it has the name only. */
export const speakers = ['user', 'agent', 'tool'] as const
export type Speaker = typeof speakers[number]

/** What an agent writes into a transcript: beside lines, one about all of them. */
export const written = [...speakers, 'summary'] as const
export type Written = typeof written[number]
