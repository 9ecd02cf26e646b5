// The avatar agent: OpenAI's Realtime model for the conversation, a Beyond Presence avatar for the face, the agent's own voice when that fails.
import { voice } from '@livekit/agents'
import * as bey from '@livekit/agents-plugin-bey'
import * as openai from '@livekit/agents-plugin-openai'
import { AudioStream, RoomEvent, TrackKind, TrackPublishOptions, TrackSource, type AudioFrame, type RemoteParticipant, type RemoteTrack } from '@livekit/rtc-node'
import { levelOf } from './audio.ts'
import { createAvatarWatch } from './avatar-watch.ts'
import { ifConversing, isUser, whenUserJoins, type Call } from './call.ts'
import type { AvatarConfig } from './config.ts'
import { mcpToolsets } from './mcp/tools.ts'
import { userTokensOf } from './mcp/user-token.ts'
import { avatarPrompt } from './prompts.ts'
import { report, type AvatarState } from './reports.ts'
import { silenceHost } from './silence-host.ts'
import { SpeechOutput } from './speech-output.ts'
import { writeDown } from './transcript.ts'
import { meter } from './usage.ts'

const AVATAR = 'bey-avatar-agent'

/** OpenAI's format: 24 kHz, mono. */
const SAMPLE_RATE = 24_000

/** dBFS above which something of the avatar counts as heard. */
const AUDIBLE = -60

const APOLOGY = 'Your video has just failed, the user only hears you now. Say so in one short sentence and go on where you were interrupted.'

/** The plugin is older than the framework: without these two, joining is never noticed. */
class Avatar extends bey.AvatarSession {
  override get avatarIdentity () { return AVATAR }
  override get provider () { return 'bey' }
}

/** Serves one call until its room closes or its user stays away. */
export async function runAvatar (call: Call, config: AvatarConfig): Promise<void> {
  const { ctx, log, metadata } = call
  const fallback = avatarPrompt(config.PROMPTS_DIR, (error) => log.error({ error }, 'a prompt is broken, the one before is used'))
  const instructions = (metadata.mode === 'video' && metadata.system_prompt) || fallback.instructions
  const setState = async (avatar: AvatarState) => {
    report({ type: 'avatar', state: avatar })
    await ctx.room.localParticipant?.setAttributes({ avatar }).catch((error: unknown) => log.warn({ error, avatar }, 'could not tell the state of the avatar'))
  }
  report({ type: 'avatar', state: 'starting' })

  const session = new voice.AgentSession({
    llm: new openai.realtime.RealtimeModel({ apiKey: config.OPENAI_API_KEY, baseURL: config.REALTIME_BASE_URL, model: config.REALTIME_MODEL, voice: config.REALTIME_VOICE }),
    // The model itself decides when the user has finished.
    turnHandling: { turnDetection: 'realtime_llm' },
    vad: null,
    aecWarmupDuration: null
  })
  silenceHost(session)
  session.on(voice.AgentSessionEventTypes.Close, ({ reason }) => {
    log.info({ reason }, 'conversation closed')
    ctx.shutdown(reason)
  })
  session.on(voice.AgentSessionEventTypes.Error, ({ error }) => log.warn({ part: String((error as { type?: string }).type) }, 'a part of the conversation failed'))
  ctx.room.on(RoomEvent.ParticipantDisconnected, (participant) => {
    if (isUser(participant)) ifConversing(() => session.interrupt())
  })

  const listening = writeDown(call, session)
  const usage = meter(call)
  session.on(voice.AgentSessionEventTypes.MetricsCollected, ({ metrics }) => usage.add(metrics))
  usage.follow(session)

  const startedAt = performance.now()
  const avatar = new Avatar({ avatarId: config.BEY_AVATAR_ID, apiKey: config.BEY_API_KEY, apiUrl: config.BEY_API_URL, connOptions: { maxRetry: 2, retryIntervalMs: 500, timeoutMs: 2500 } })
  let output: SpeechOutput | undefined
  let byVoice: Promise<void> | undefined
  try {
    // What the avatar's cloud is given must be the address from outside.
    await avatar.start(session, ctx.room, { livekitUrl: config.LIVEKIT_URL, livekitApiKey: config.LIVEKIT_API_KEY, livekitApiSecret: config.LIVEKIT_API_SECRET })
    output = watched(call, config, session, goOnByVoice)
    session.output.audio = output
  } catch (error) {
    log.error({ reason: (error as Error).message }, 'the avatar service did not start an avatar')
    session.output.audio = null
    await sendAway()
  }

  const agent = new voice.Agent({ instructions, tools: mcpToolsets(config.mcpServers, 'avatar', log, { maxCalls: config.MAX_TOOL_CALLS, userTokens: userTokensOf(metadata) }) })
  await session.start({
    agent,
    room: ctx.room,
    record: false,
    inputOptions: { closeOnDisconnect: false, textEnabled: false },
    outputOptions: { audioEnabled: output === undefined }
  })
  listening()

  if (output) {
    try {
      await avatar.waitForJoin({ timeout: Math.max(1, config.AVATAR_JOIN_TIMEOUT * 1000 - (performance.now() - startedAt)) })
      log.info({ duration_ms: Math.round(performance.now() - startedAt) }, 'avatar ready')
      setState('ready')
    } catch {
      log.error('the avatar did not join in time')
      await goOnByVoice()
    }
  }
  if (fallback.greeting) whenUserJoins(call, () => ifConversing(() => session.generateReply({ instructions: fallback.greeting })))

  /** The avatar has failed: it is out of the room, also one that comes after its time. It would speak for nobody, and be paid for. */
  async function sendAway (): Promise<void> {
    const remove = () => call.rooms.remove(metadata.room_name, AVATAR).catch((error: unknown) => log.warn({ error }, 'could not send the avatar away'))
    ctx.room.on(RoomEvent.ParticipantConnected, ({ identity }) => { if (identity === AVATAR) remove() })
    remove()
    await setState('failed')
  }

  /** Once: the avatar is out of the room and the agent speaks itself. */
  function goOnByVoice (): Promise<void> {
    byVoice ??= (async () => {
      // Neither is waited for: LiveKit may be slow, and the user hears nothing until the voice is there.
      sendAway()
      const own = new voice.ParticipantAudioOutput(ctx.room, {
        sampleRate: SAMPLE_RATE,
        numChannels: 1,
        trackPublishOptions: new TrackPublishOptions({ source: TrackSource.SOURCE_MICROPHONE }),
        queueSizeMs: 200
      })
      const speaking = session.agentState === 'speaking'
      output?.replace(own)
      await own.start(new AbortController().signal)
      if (speaking) session.generateReply({ instructions: APOLOGY })
    })().catch((error) => log.error({ error }, 'could not go on by voice'))
    return byVoice
  }
}

/** The session's output to the avatar, watched: `onDead` when the avatar is gone or plays nothing of what it is sent. */
function watched ({ ctx, log }: Call, config: AvatarConfig, session: voice.AgentSession, onDead: () => Promise<void>): SpeechOutput {
  const watch = createAvatarWatch({
    limit: config.AVATAR_SILENCE_TIMEOUT * 1000,
    onDead () {
      log.warn('the avatar plays nothing any more, going on by voice')
      onDead()
    }
  })
  const timer = setInterval(watch.check, 250)
  const left = ({ identity }: RemoteParticipant) => {
    if (identity !== AVATAR || !ctx.room.isConnected) return
    log.warn('the avatar has left, going on by voice')
    onDead()
  }
  ctx.room.on(RoomEvent.ParticipantDisconnected, left)
  // From then on it is sent away, with the agent (job.ts).
  session.on(voice.AgentSessionEventTypes.Close, () => {
    clearInterval(timer)
    ctx.room.off(RoomEvent.ParticipantDisconnected, left)
  })
  ctx.room.on(RoomEvent.TrackSubscribed, async (track: RemoteTrack, _publication, { identity }) => {
    if (identity !== AVATAR || track.kind !== TrackKind.KIND_AUDIO) return
    const frames: ReadableStreamDefaultReader<AudioFrame> = new AudioStream(track, { sampleRate: 16_000, numChannels: 1, frameSizeMs: 50 }).getReader()
    for (;;) {
      const { value, done } = await frames.read()
      if (done) return
      if (levelOf(value.data) > AUDIBLE) watch.heard()
    }
  })
  return new SpeechOutput(session.output.audio!, { onPlaying: watch.playing, onFinished: watch.finished })
}
