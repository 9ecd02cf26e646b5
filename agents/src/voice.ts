// The voice agent: hears (VAD, Whisper), thinks (a language model, MCP tools), speaks (a speech server).
import { inference, llm, voice } from '@livekit/agents'
import * as openai from '@livekit/agents-plugin-openai'
import { RoomEvent } from '@livekit/rtc-node'
import { ifConversing, isUser, whenUserJoins, type Call } from './call.ts'
import type { VoiceConfig } from './config.ts'
import { mcpToolsets } from './mcp/tools.ts'
import { voicePrompt } from './prompts.ts'
import { report } from './reports.ts'
import { silenceHost } from './silence-host.ts'

/** Longest text message taken from a user, in characters. */
const MAX_TEXT = 2000

const PATIENCE = { maxRetry: 2, retryIntervalMs: 500, timeoutMs: 10_000 }

/** Serves one call until its room closes or its user stays away. */
export async function runVoice (call: Call, config: VoiceConfig): Promise<void> {
  const { ctx, log, metadata } = call
  const agentType = metadata.mode === 'voice' ? metadata.agent_type : 'general'
  const { instructions, greeting } = voicePrompt(agentType, config.PROMPTS_DIR)
  const session = createSession(config)
  silenceHost(session)

  session.on(voice.AgentSessionEventTypes.Close, ({ reason }) => {
    log.info({ reason }, 'conversation closed')
    // Also when a part has failed for good: the agent leaves, and the service brings another.
    ctx.shutdown(reason)
  })
  session.on(voice.AgentSessionEventTypes.Error, ({ error }) => log.warn({ part: partOf(error) }, 'a part of the conversation failed'))
  session.on(voice.AgentSessionEventTypes.ConversationItemAdded, ({ item }) => {
    if (item.type !== 'message' || item.role !== 'assistant') return
    const seconds = item.metrics?.e2eLatency
    if (seconds !== undefined) report({ type: 'answer', seconds })
    log.info({ answer_ms: seconds === undefined ? undefined : Math.round(seconds * 1000), interrupted: item.interrupted }, 'agent spoke')
  })
  // Whoever left hears nothing: stop talking, be ready for the return.
  ctx.room.on(RoomEvent.ParticipantDisconnected, (participant) => {
    if (!isUser(participant)) return
    log.info('user left')
    ifConversing(() => session.interrupt())
  })

  const agent = new voice.Agent({ instructions, tools: [endCall(call), ...mcpToolsets(config.mcpServers, agentType, log)] })
  await session.start({
    agent,
    room: ctx.room,
    record: false,
    inputOptions: {
      // A user who returns finds the agent here; call.ts ends the job when they do not.
      closeOnDisconnect: false,
      textInputCallback (conversation, { text }) {
        conversation.interrupt()
        conversation.generateReply({ userInput: text.slice(0, MAX_TEXT) })
      }
    }
  })
  log.info({ agent_type: agentType }, 'conversation ready')

  if (greeting) whenUserJoins(call, () => ifConversing(() => session.say(greeting, { allowInterruptions: true })))
}

function createSession (config: VoiceConfig): voice.AgentSession {
  return new voice.AgentSession({
    stt: new openai.STT({ baseURL: config.STT_BASE_URL, apiKey: config.STT_API_KEY, model: config.STT_MODEL, language: config.STT_LANGUAGE, useRealtime: false }),
    llm: new openai.LLM({ baseURL: config.LLM_BASE_URL, apiKey: config.LLM_API_KEY, model: config.LLM_MODEL }),
    tts: new openai.TTS({ baseURL: config.TTS_BASE_URL, apiKey: config.TTS_API_KEY, model: config.TTS_MODEL, voice: config.TTS_VOICE as 'alloy' }),
    turnHandling: {
      // The bundled model on this machine; without the version, development mode would ask LiveKit Cloud.
      turnDetection: new inference.TurnDetector({ version: 'v1-mini' }),
      interruption: { mode: 'vad', minDuration: 200 }
    },
    // Browsers cancel echo; the default of 3 s would lose what is said into the agent's first words.
    aecWarmupDuration: null,
    connOptions: { sttConnOptions: PATIENCE, llmConnOptions: PATIENCE, ttsConnOptions: PATIENCE }
  })
}

/** The tool with which the agent hangs up after a goodbye. */
function endCall (call: Call) {
  return llm.tool({
    name: 'end_call',
    description: 'Ends the call. Use it only after the user has said goodbye or asked to hang up. Say goodbye before, not after.',
    async execute (_args, { ctx }) {
      await ctx.waitForPlayout()
      call.log.info('the agent hangs up')
      await call.hangUp()
    }
  })
}

function partOf (error: unknown): string {
  return String((error as { type?: string }).type ?? (error as Error).name)
}
