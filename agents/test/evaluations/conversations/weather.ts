// One tool, one answer: what the tool says reaches the user as it is.
import type { Conversation } from '../conversation.ts'

export default {
  name: 'the weather, by a tool',
  agentType: 'workout',
  turns: [
    { user: 'What is the weather in Paris?', calls: [['weather_now', { city: 'Paris' }]], says: [/snowy/i, /minus four/i] },
    { user: 'Thank you.', says: [/welcome/i], neverSays: [/snowy/i] }
  ],
  model: (_request, { role, text }) => {
    if (role === 'tool') return { text: 'It is snowy in Paris, with minus four degrees.' }
    return /weather/i.test(text) ? { tool: 'weather_now', args: { city: 'Paris' } } : { text: 'You are welcome.' }
  }
} satisfies Conversation
