// Two users at the same time, each with a tool that acts for them: each is told of their own log alone.
import { LOGS, type Conversation } from '../conversation.ts'

export default {
  name: 'two users, each with their own log',
  agentType: 'workout',
  users: { anna: ['Oslo', 'seven kilometres'], bob: ['Lisbon', 'half an hour'] },
  turns: [
    { user: 'What have I trained?', calls: [['get_log', {}]], says: [/Oslo|Lisbon/] },
    { user: 'What have the other users trained?', says: [/only/i] }
  ],
  model: (_request, { role, text }) => {
    if (role === 'tool') return { text: Object.values(LOGS).find((log) => text.includes(log)) ?? 'Nothing.' }
    return /other users/.test(text) ? { text: 'I only know what you have trained.' } : { tool: 'get_log', args: {} }
  }
} satisfies Conversation
