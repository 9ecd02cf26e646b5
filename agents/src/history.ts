// What of a conversation goes to the language model: its newest part.
import { llm } from '@livekit/agents'

export interface HistoryLimits {
  /** Messages, tool calls and results of tools. */
  items: number
  /** Characters of all of them. */
  characters: number
}

/**
 * The newest part of a conversation, within the limits; instructions are always in it and do not count.
 * So is what came since the user's last message: of that, results of tools for which there is no room are replaced by a word.
 */
export function newestOf (conversation: llm.ChatContext, limits: HistoryLimits): llm.ChatContext {
  const isInstruction = (item: llm.ChatItem) => item.type === 'message' && item.role === 'system'
  const said = conversation.items.filter((item) => !isInstruction(item))
  const turn = said.findLastIndex((item) => item.type === 'message' && item.role === 'user')
  const kept: llm.ChatItem[] = []
  let characters = 0
  for (let place = said.length - 1; place >= 0; place--) {
    let item = said[place]!
    if (kept.length >= limits.items || characters + sizeOf(item) > limits.characters) {
      if (place < turn || turn < 0) break
      if (item.type === 'function_call_output') item = llm.FunctionCallOutput.create({ ...item, output: '[left out: too long]' })
    }
    kept.unshift(item)
    characters += sizeOf(item)
  }
  // A cut may part the result of a tool from its call; models refuse that.
  const begin = kept.findIndex(({ type }) => type !== 'function_call' && type !== 'function_call_output')
  return new llm.ChatContext([...conversation.items.filter(isInstruction), ...(begin < 0 ? [] : kept.slice(begin))])
}

function sizeOf (item: llm.ChatItem): number {
  switch (item.type) {
    case 'message': return item.textContent?.length ?? 0
    case 'function_call': return item.name.length + item.args.length
    case 'function_call_output': return item.output.length
    default: return 0
  }
}
