// What a conversation was about, in a few sentences, by the language model that led it.
import { llm } from '@livekit/agents'
import { setTimeout as sleep } from 'node:timers/promises'
import { reasonOf, type Logger } from './log.ts'
import { ONCE } from './parts.ts'

/** Milliseconds it may take: the call is over, and the process is to end. */
const PATIENCE = 8000
const INSTRUCTIONS = 'Summarise the conversation below in two to five sentences, in its language, for its user to read later. Say only what is in it. Answer with the summary alone.'

/** @returns undefined when nothing was said, or the model fails or takes more than 8 s. */
export async function summarise (model: llm.LLM, conversation: llm.ChatContext, log: Logger): Promise<string | undefined> {
  const said = conversation.items.flatMap((item) => item.type === 'message' && item.role !== 'system' && item.textContent ? [`${item.role === 'user' ? 'User' : 'Assistant'}: ${item.textContent}`] : [])
  if (said.length === 0) return undefined
  const chatCtx = new llm.ChatContext()
  chatCtx.addMessage({ role: 'system', content: INSTRUCTIONS })
  chatCtx.addMessage({ role: 'user', content: said.join('\n') })
  // A failure is an event of the model's; the stream only ends.
  let failure: unknown
  model.on('error', ({ error }) => { failure = error })
  const stream = model.chat({ chatCtx, connOptions: ONCE })
  try {
    const { text } = await Promise.race([stream.collect(), sleep(PATIENCE).then(() => { throw new DOMException('timed out', 'TimeoutError') })])
    if (!text.trim()) throw failure ?? new Error('nothing was said')
    return text.trim()
  } catch (error) {
    log.warn({ reason: reasonOf(error) }, 'no summary could be made')
    return undefined
  } finally {
    stream.close()
  }
}
