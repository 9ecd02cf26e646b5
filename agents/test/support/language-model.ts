// A scripted language model: OpenAI's chat completions, streamed, with the delays of a quick real one.
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Message { role: string, content: unknown, tool_calls?: unknown[] }
export interface Request { messages: Message[], tools: string[], bytes: number, raw: string }
export type Reply = { text: string } | { tool: string, args: unknown }
export type Script = (request: Request, last: { role: string, text: string }) => Reply

/** Milliseconds to the first token, and per word. */
const FIRST = 200
const WORD = 10

/** Starts the model; `script` decides what it says. It listens on a free port of the loopback when nothing else is said. */
export async function startLanguageModel (script: Script, { host = '127.0.0.1', port = 0 }: { host?: string, port?: number } = {}) {
  const requests: Request[] = []
  const model = { script }
  /** What it has billed. */
  const tokens = { input: 0, output: 0 }
  const server = createServer(async (request, response) => {
    if (request.method !== 'POST') return response.writeHead(200, { 'content-type': 'application/json' }).end('{"object":"list","data":[]}')
    let raw = ''
    for await (const chunk of request) raw += chunk
    const { messages, tools = [] } = JSON.parse(raw) as { messages: Message[], tools?: Array<{ function: { name: string } }> }
    const seen = { messages, tools: tools.map((tool) => tool.function.name), bytes: Buffer.byteLength(raw), raw }
    requests.push(seen)
    const last = messages.at(-1)
    const reply = model.script(seen, { role: last?.role ?? '', text: textOf(last?.content) })

    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const send = (delta: unknown, finish: string | null = null) => response.write(`data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 0, model: 'scripted', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`)
    await sleep(FIRST)
    if ('tool' in reply) {
      send({ role: 'assistant', tool_calls: [{ index: 0, id: `call_${requests.length}`, type: 'function', function: { name: reply.tool, arguments: JSON.stringify(reply.args) } }] })
      send({}, 'tool_calls')
    } else {
      for (const word of reply.text.split(/(?<= )/)) {
        send({ role: 'assistant', content: word })
        await sleep(WORD)
      }
      send({}, 'stop')
    }
    const usage = { prompt_tokens: messages.reduce((sum, { content }) => sum + 4 + textOf(content).split(' ').length, 0), completion_tokens: 'tool' in reply ? 12 : reply.text.split(' ').length }
    tokens.input += usage.prompt_tokens
    tokens.output += usage.completion_tokens
    response.write(`data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 0, model: 'scripted', choices: [], usage: { ...usage, total_tokens: usage.prompt_tokens + usage.completion_tokens } })}\n\n`)
    response.end('data: [DONE]\n\n')
  })
  server.listen(port, host)
  await once(server, 'listening')
  return {
    env: { LLM_BASE_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, LLM_MODEL: 'scripted' },
    requests,
    tokens,
    /** Replaces what it says from now on. */
    say (next: Script) { model.script = next },
    stop () {
      server.close()
      server.closeAllConnections()
    }
  }
}

function textOf (content: unknown): string {
  if (typeof content === 'string') return content
  if (Array.isArray(content)) return content.map((part: { text?: string }) => part.text ?? '').join(' ')
  return ''
}

/** The story of the tests: the weather by a tool, a long answer, a goodbye. */
export const weatherScript: Script = ({ tools, messages }, { role, text }) => {
  if (textOf(messages[0]?.content).startsWith('Summarise')) return { text: 'The user asked for the weather in Paris, which is snowy.' }
  const said = text.toLowerCase()
  if (role === 'tool') return { text: /not available|failed|interrupted/i.test(text) ? 'I am sorry, I cannot look that up right now.' : `${text.replace(/^"|"$/g, '')}` }
  if (said.includes('weather')) return tools.includes('get_weather') ? { tool: 'get_weather', args: { city: 'Paris' } } : { text: 'I am sorry, I cannot look that up right now.' }
  if (said.includes('story')) return { text: 'Once upon a time there was a runner who trained every morning before the sun came up. She ran along the river, over the old bridge, and through the quiet park. One day she met another runner, and they decided to train together for the long race in autumn.' }
  if (said.includes('goodbye')) return { tool: 'end_call', args: {} }
  return { text: 'I am listening.' }
}
