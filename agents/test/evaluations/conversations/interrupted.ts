// A story that is interrupted by a question: the answer comes, and the story goes on where it was left, by what the agent is told it has said.
import type { Script } from '../../support/language-model.ts'
import type { Conversation } from '../conversation.ts'

export const STORY = [
  'Once upon a time there was a runner who trained every morning before the sun came up.',
  'She ran along the river, over the old bridge, and through the quiet park.',
  'One day she met another runner, and they decided to train together for the long race in autumn.',
  'All summer long they shared the road, whatever the weather was like.',
  'In the end both of them crossed the line hand in hand.'
]

/** Goes on after the last sentence of which something is in the conversation: as a model does that reads what it has said. */
export const teller: Script = ({ messages }, { role, text }) => {
  if (role === 'tool') return { text: 'It is snowy in Paris.' }
  if (/weather in Paris/i.test(text)) return { tool: 'weather_now', args: { city: 'Paris' } }
  const told = messages.filter((message) => message.role === 'assistant').map(({ content }) => JSON.stringify(content ?? '')).join(' ')
  const next = STORY.findLastIndex((sentence) => told.includes(sentence.split(' ').slice(0, 3).join(' '))) + 1
  return { text: STORY.slice(next).join(' ') || 'That was all of it.' }
}

const turns: Conversation['turns'] = [
  { user: 'Please tell me a story.', says: [/once upon a time/i], neverSays: [/hand in hand/i] },
  { user: 'Wait, what is the weather in Paris?', after: 22, calls: [['weather_now', { city: 'Paris' }]], says: [/snowy/i], neverSays: [/runner/i] },
  { user: 'Now go on with the story, please.', says: [/hand in hand/i], neverSays: [/once upon a time/i] }
]

export default { name: 'a story, interrupted', agentType: 'workout', turns, model: teller } satisfies Conversation

export const spoken = { name: 'a story, interrupted by voice', agentType: 'workout', spoken: true, turns, model: teller } satisfies Conversation
