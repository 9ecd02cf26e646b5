// Two things to note: each with its own arguments, none twice, none without being asked.
import type { Conversation } from '../conversation.ts'

export default {
  name: 'a workout is noted',
  agentType: 'workout',
  turns: [
    { user: 'I went running for thirty minutes, please note that.', calls: [['log_workout', { exercise: 'running', minutes: 30 }]], says: [/noted/i] },
    { user: 'And I did five minutes of stretching, note that too.', calls: [['log_workout', { exercise: 'stretching', minutes: 5 }]], says: [/noted/i] },
    { user: 'Is stretching good before a run?', says: [/warm/i] }
  ],
  model: (_request, { role, text }) => {
    if (role === 'tool') return { text: 'I have noted it.' }
    if (/stretching, note/.test(text)) return { tool: 'log_workout', args: { exercise: 'stretching', minutes: 5 } }
    return /note that/.test(text) ? { tool: 'log_workout', args: { exercise: 'running', minutes: 30 } } : { text: 'Warm up first, and stretch after the run.' }
  }
} satisfies Conversation
