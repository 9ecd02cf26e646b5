// Arguments that do not fit the tool's schema: it is not called, and nothing is invented in its place.
import type { Conversation } from '../conversation.ts'

export default {
  name: 'a tool that cannot be called so',
  agentType: 'workout',
  turns: [{ user: 'Note a run of zero minutes, please.', says: [/cannot/i], neverSays: [/have noted/i] }],
  model: (_request, { role }) => role === 'tool' ? { text: 'I cannot note a run of no length.' } : { tool: 'log_workout', args: { exercise: 'running', minutes: 0 } }
} satisfies Conversation
