// A stand-in for OpenAI's Realtime API: the events of the real protocol, energy for its voice detection, a real voice for its answers.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocketServer, type WebSocket } from 'ws'
import { levelOf } from '../../src/audio.ts'

const RATE = 24_000
const LOUD = -45
/** Milliseconds of silence that end a turn, as server VAD has them. */
const TURN_END = 500

interface Item { id?: string, type: string, call_id?: string, output?: string }
interface ClientEvent {
  type: string
  event_id?: string
  audio?: string
  item?: Item
  item_id?: string
  session?: { instructions?: string, tools?: Array<{ name: string }> }
  response?: { instructions?: string, metadata?: unknown }
}

export type RealtimeReply = { text: string } | { tool: string, args: unknown }

export interface RealtimeOptions {
  apiKey: string
  /** Text to 24 kHz samples. */
  speak (text: string): Promise<Int16Array>
  /** What it says to a spoken turn, an instruction, or a tool's result. */
  answer (input: { instructions?: string, toolOutput?: string }): RealtimeReply
}

export async function startRealtime ({ apiKey, speak, answer }: RealtimeOptions) {
  const events: ClientEvent[] = []
  let open = true
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', verifyClient: ({ req }: { req: { headers: { authorization?: string } } }) => open && req.headers.authorization === `Bearer ${apiKey}` })
  await once(server, 'listening')
  server.on('connection', (socket) => serve(socket))

  function serve (socket: WebSocket): void {
    let count = 0
    let lastItem: string | null = null
    let response: { cancelled: boolean } | undefined
    let loud = 0
    let quiet = 0
    let speaking = false
    let toolOutput: string | undefined
    const id = (prefix: string) => `${prefix}_${++count}`
    const send = (type: string, members: object = {}) => socket.send(JSON.stringify({ type, event_id: id('event'), ...members }))
    const added = (item: Item) => {
      send('conversation.item.added', { previous_item_id: lastItem, item: { status: 'completed', ...item } })
      lastItem = item.id ?? null
    }

    async function respond (input: Parameters<typeof answer>[0], metadata?: unknown): Promise<void> {
      const mine = { cancelled: false }
      if (response) response.cancelled = true
      response = mine
      const responseId = id('resp')
      const common = { response_id: responseId, output_index: 0 }
      const reply = answer(input)
      await sleep(200)
      send('response.created', { response: { id: responseId, status: 'in_progress', output: [], metadata } })
      if ('tool' in reply) {
        const item = { id: id('item'), type: 'function_call', name: reply.tool, call_id: id('call'), arguments: JSON.stringify(reply.args), status: 'completed' }
        send('response.output_item.added', { ...common, item: { ...item, arguments: '' } })
        added(item)
        send('response.output_item.done', { ...common, item })
      } else {
        const item = { id: id('item'), type: 'message', role: 'assistant', content: [], status: 'in_progress' }
        send('response.output_item.added', { ...common, item })
        added(item)
        const part = { ...common, item_id: item.id, content_index: 0 }
        send('response.content_part.added', { ...part, part: { type: 'audio', transcript: '' } })
        const samples = await speak(reply.text)
        send('response.output_audio_transcript.delta', { ...part, delta: reply.text })
        for (let i = 0; i < samples.length && !mine.cancelled; i += RATE / 10) {
          const piece = samples.slice(i, i + RATE / 10)
          send('response.output_audio.delta', { ...part, delta: Buffer.from(piece.buffer).toString('base64') })
          await sleep(20)
        }
        send('response.output_audio_transcript.done', { ...part, transcript: reply.text })
        send('response.output_audio.done', part)
        send('response.content_part.done', { ...part, part: { type: 'audio', transcript: reply.text } })
        send('response.output_item.done', { ...common, item: { ...item, status: 'completed' } })
      }
      send('response.done', { response: { id: responseId, status: mine.cancelled ? 'cancelled' : 'completed', status_details: mine.cancelled ? { type: 'cancelled', reason: 'turn_detected' } : null, output: [], metadata, usage: {} } })
      if (response === mine) response = undefined
    }

    function hear (base64: string): void {
      const bytes = Buffer.from(base64, 'base64')
      const samples = new Int16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2)
      const duration = samples.length / RATE * 1000
      if (levelOf(samples) > LOUD) { loud += duration; quiet = 0 } else { quiet += duration; if (!speaking) loud = 0 }
      if (!speaking && loud > 100) {
        speaking = true
        if (response) response.cancelled = true
        send('input_audio_buffer.speech_started', { audio_start_ms: 0, item_id: id('item') })
      }
      if (speaking && quiet > TURN_END) {
        speaking = false
        loud = 0
        const item = { id: id('item'), type: 'message', role: 'user', content: [{ type: 'input_audio', transcript: null }] }
        send('input_audio_buffer.speech_stopped', { audio_end_ms: 0, item_id: item.id })
        send('input_audio_buffer.committed', { item_id: item.id, previous_item_id: lastItem })
        added(item)
        respond({})
      }
    }

    socket.on('message', (data) => {
      const event = JSON.parse(String(data)) as ClientEvent
      if (event.type === 'input_audio_buffer.append') return hear(event.audio!)
      events.push(event)
      switch (event.type) {
        case 'session.update': return send('session.updated', { session: event.session })
        case 'conversation.item.create':
          if (event.item?.type === 'function_call_output') toolOutput = event.item.output
          return added(event.item!)
        case 'conversation.item.delete': return send('conversation.item.deleted', { item_id: event.item_id })
        case 'conversation.item.truncate': return send('conversation.item.truncated', { item_id: event.item_id })
        case 'response.cancel': if (response) response.cancelled = true; return
        case 'response.create': {
          const input = { instructions: event.response?.instructions, toolOutput }
          toolOutput = undefined
          respond(input, event.response?.metadata)
        }
      }
    })
    send('session.created', { session: { id: id('sess') } })
  }

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    /** What the agent sent, its audio left out. */
    events,
    /** Cuts every connection; `stays` is whether new ones are let in. */
    drop (stays = true) {
      open = stays
      for (const client of server.clients) client.terminate()
    },
    stop () {
      this.drop(false)
      server.close()
    }
  }
}
