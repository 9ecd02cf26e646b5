// The voice agent: hears (VAD, Whisper), thinks (a language model, MCP tools), speaks (a speech server).
import { inference, llm, voice, type metrics } from '@livekit/agents'
import { RoomEvent } from '@livekit/rtc-node'
import { setTimeout as sleep } from 'node:timers/promises'
import { ifConversing, isUser, whenUserJoins, type Call } from './call.ts'
import type { VoiceConfig } from './config.ts'
import { newestOf } from './history.ts'
import { reasonOf } from './log.ts'
import { mcpToolsets } from './mcp/tools.ts'
import { userTokensOf } from './mcp/user-token.ts'
import { createModel, createParts, createWrittenParts } from './parts.ts'
import { isListening, voicePrompt } from './prompts.ts'
import { report, type Part, type TurnPart } from './reports.ts'
import { createSilenceWatch } from './silence.ts'
import { silenceHost } from './silence-host.ts'
import { summarise } from './summary.ts'
import { listenToKeys, telephoneTools } from './telephone.ts'
import { listenToTexts } from './texts.ts'
import { END_CALL, writeDown } from './transcript.ts'
import { meter } from './usage.ts'

/** Milliseconds the farewell may take: the session is over whether or not it can be spoken. */
const FAREWELL = 15_000

/** Serves one call until its room closes or its user stays away. */
export async function runVoice (call: Call, config: VoiceConfig): Promise<void> {
  const { ctx, log, metadata } = call
  const agentType = metadata.mode === 'voice' ? metadata.agent_type : 'general'
  const inWriting = metadata.text_only ?? false
  const { instructions, greeting, apology, waiting, farewell, still_there: stillThere, gone, acknowledgements, press_keys: pressKeys, hand_over: person, ...wish } = voicePrompt(agentType, { folder: config.PROMPTS_DIR, language: metadata.language, inWriting, onBroken: (error) => log.error({ error }, 'a prompt is broken, the one before is used') })
  const historyLimits = { items: config.HISTORY_MAX_ITEMS, characters: config.HISTORY_MAX_CHARS }
  const usage = meter(call)
  const measured = (request: metrics.AgentMetrics) => {
    usage.add(request)
    reportParts(request)
  }
  const session: voice.AgentSession = new voice.AgentSession(inWriting
    ? { ...createWrittenParts(config, measured), vad: null, turnHandling: { turnDetection: null }, userAwayTimeout: null }
    : {
        ...await createParts(config, {
          onDeaf: (error) => failed('stt', error),
          // Whoever only says that they listen does not want to be answered.
          listens: () => session.agentState === 'speaking' ? (text) => isListening(text, acknowledgements) : () => false
        }, wish, measured),
        turnHandling: {
          // The bundled model on this machine; without the version, development mode would ask LiveKit Cloud.
          turnDetection: new inference.TurnDetector({ version: 'v1-mini' }),
          // The agent falls silent soon, for everything that sounds like a voice; when it was none, or no words came, it goes on.
          interruption: { mode: 'vad', minDuration: 100, falseInterruptionTimeout: 600 }
        },
        // Browsers cancel echo; the default of 3 s would lose what is said into the agent's first words.
        aecWarmupDuration: null,
        // silence.ts, which counts what is typed too.
        userAwayTimeout: null
      })
  silenceHost(session)

  /** A part of the conversation has failed for this turn: said to the user, as long as there is a voice to say it. */
  function failed (part: Part, error: unknown): void {
    log.warn({ part, reason: reasonOf(error) }, 'a part of the conversation failed')
    report({ type: 'failure', part })
    if (part !== 'tts' && apology) ifConversing(() => session.say(apology, { addToChatCtx: false }))
  }

  session.on(voice.AgentSessionEventTypes.Close, ({ reason }) => {
    log.info({ reason }, 'conversation closed')
    // Also when a part has failed for good: the agent leaves, and the service brings another.
    ctx.shutdown(reason)
  })
  session.on(voice.AgentSessionEventTypes.Error, ({ error }) => {
    const { type, error: cause } = error as { type?: string, error?: unknown }
    failed(type === 'tts_error' ? 'tts' : type === 'stt_error' ? 'stt' : 'llm', cause ?? error)
  })
  session.on(voice.AgentSessionEventTypes.ConversationItemAdded, ({ item }) => {
    if (item.type !== 'message' || item.role !== 'assistant') return
    const seconds = item.metrics?.e2eLatency
    if (seconds !== undefined) report({ type: 'answer', seconds })
    log.info({ answer_ms: seconds === undefined ? undefined : Math.round(seconds * 1000), interrupted: item.interrupted }, 'agent spoke')
  })
  session.on(voice.AgentSessionEventTypes.MetricsCollected, ({ metrics }) => { if (metrics.type === 'eou_metrics') reportParts(metrics) })
  const model = createModel(config, usage.add) // of its own: what it takes is no part of a turn
  let summary: Promise<string | undefined> | undefined
  const summaryAtEnd = async () => {
    if (metadata.summary) summary ??= summarise(model, newestOf(session.history, historyLimits), log)
    return summary
  }
  const silence = createSilenceWatch({
    ask: config.USER_SILENCE_ASK,
    end: config.USER_SILENCE_END,
    isThere: () => [...ctx.room.remoteParticipants.values()].some(isUser),
    onAsk () {
      log.info('the user keeps silent, asking')
      if (stillThere) ifConversing(() => session.say(stillThere, { addToChatCtx: false }))
    },
    onEnd () {
      log.info('the user keeps silent, hanging up')
      endForGood(gone, 'idle').catch((error: unknown) => log.error({ error }, 'the agent could not hang up'))
    }
  })
  session.on(voice.AgentSessionEventTypes.AgentStateChanged, ({ newState }) => silence.agent(newState !== 'listening'))
  session.on(voice.AgentSessionEventTypes.UserStateChanged, ({ newState }) => silence.user(newState === 'speaking'))
  for (const event of [RoomEvent.ParticipantConnected, RoomEvent.ParticipantDisconnected] as const) ctx.room.on(event, silence.sign)
  session.on(voice.AgentSessionEventTypes.Close, silence.stop)
  const listening = writeDown(call, session, summaryAtEnd)
  usage.follow(session, summaryAtEnd)
  reportFirstSound(call, session)
  // Whoever left hears nothing: stop talking, be ready for the return.
  ctx.room.on(RoomEvent.ParticipantDisconnected, (participant) => {
    if (!isUser(participant)) return
    log.info('user left')
    ifConversing(() => session.interrupt())
  })

  let modelCalls = 0
  let hangingUp: Promise<void> | undefined

  class Assistant extends voice.Agent {
    override async llmNode (...[conversation, tools, settings]: Parameters<voice.Agent['llmNode']>): ReturnType<voice.Agent['llmNode']> {
      if (modelCalls++ >= config.MAX_MODEL_CALLS) {
        // With each turn anew, until it has: the user would talk to nobody.
        hangingUp ??= hangUpAtLimit().finally(() => { hangingUp = undefined })
        return null
      }
      return super.llmNode(newestOf(conversation, historyLimits), tools, settings)
    }
  }

  async function hangUpAtLimit (): Promise<void> {
    log.warn({ limit: config.MAX_MODEL_CALLS }, 'no more model calls in this session, hanging up')
    await endForGood(farewell).catch((error: unknown) => log.error({ error }, 'the agent could not hang up'))
  }

  /** Says a last word and hangs up. Leaving alone would bring the next agent. */
  async function endForGood (lastWord: string, why?: 'idle'): Promise<void> {
    if (lastWord) {
      const said = session.say(lastWord, { allowInterruptions: false, addToChatCtx: false })
      await Promise.race([said.waitForPlayout(), sleep(FAREWELL)])
    }
    await call.hangUp(why)
  }

  const agent = new Assistant({ instructions, tools: [endCall(call), ...telephoneTools(call, config, { pressKeys: pressKeys === 'on', person }), ...mcpToolsets(config.mcpServers, agentType, log, { maxCalls: config.MAX_TOOL_CALLS, userTokens: userTokensOf(metadata), waiting })] })
  await session.start({
    agent,
    room: ctx.room,
    record: false,
    inputOptions: {
      // A user who returns finds the agent here; call.ts ends the job when they do not.
      closeOnDisconnect: false,
      textEnabled: false,
      ...(inWriting && { audioEnabled: false })
    },
    ...(inWriting && { outputOptions: { audioEnabled: false } })
  })
  listening()
  const answer = (userInput: string) => ifConversing(() => {
    silence.sign()
    session.interrupt()
    session.generateReply({ userInput })
  })
  listenToTexts(ctx.room, { burst: config.TEXT_BURST, interval: config.TEXT_INTERVAL, characters: config.TEXT_MAX_CHARS }, log, answer)
  if (pressKeys === 'on') listenToKeys(ctx.room, answer)
  log.info({ agent_type: agentType, text_only: inWriting, language: wish.language || undefined }, 'conversation ready')

  if (greeting) whenUserJoins(call, () => ifConversing(() => session.say(greeting, { allowInterruptions: true })))
}

/** Tells what was measured of a turn, milliseconds; what was cut off the framework gives as -1. */
function reportParts (metrics: metrics.AgentMetrics): void {
  const parts: Array<[TurnPart, number]> = metrics.type === 'eou_metrics'
    ? [['recognition', metrics.transcriptionDelayMs], ['end_of_turn', metrics.endOfUtteranceDelayMs]]
    : metrics.type === 'llm_metrics' ? [['model', metrics.ttftMs]] : metrics.type === 'tts_metrics' ? [['speech', metrics.ttfbMs]] : []
  for (const [part, ms] of parts) if (ms >= 0) report({ type: 'part', part, seconds: ms / 1000 })
}

/** Of the session's first agent only: another one comes into a call that has begun long ago. */
function reportFirstSound (call: Call, session: voice.AgentSession): void {
  if (call.metadata.dispatch > 1) return
  let from = Number(call.ctx.job.room?.creationTimeMs ?? 0)
  let isAwaited = false // the user, who else is here already
  whenUserJoins(call, () => { if (isAwaited) from = Date.now() })
  isAwaited = true
  const speaking = ({ newState }: voice.AgentStateChangedEvent) => {
    if (newState !== 'speaking') return
    session.off(voice.AgentSessionEventTypes.AgentStateChanged, speaking)
    report({ type: 'first_sound', seconds: Math.max(0, Date.now() - from) / 1000 })
  }
  session.on(voice.AgentSessionEventTypes.AgentStateChanged, speaking)
}

/** The tool with which the agent hangs up after a goodbye. */
function endCall (call: Call) {
  return llm.tool({
    name: END_CALL,
    description: 'Ends the call. Use it only after the user has said goodbye or asked to hang up. Say goodbye before, not after.',
    async execute (_args, { ctx }) {
      await ctx.waitForPlayout()
      call.log.info('the agent hangs up')
      await call.hangUp().catch((error: unknown) => {
        call.log.error({ error }, 'the agent could not hang up')
        throw error
      })
    }
  })
}
