// Recognition that begins before the speech is over: each pause is taken for its end until it proves to be none.
import { VADEventType, stt, type APIConnectOptions } from '@livekit/agents'
import { combineAudioFrames, type AudioFrame } from '@livekit/rtc-node'
import type { Ears } from './voice-detection.ts'

/** Voice detection's own limit of what is still speech, once it has begun. */
const SPEECH = 0.35

/** Milliseconds of speech after which no pause is asked about any more: to ask again and again about the same half minute costs more than it brings. */
const LONG = 30_000

export interface EagerOptions {
  /** What was said could not be recognised: the framework would say nothing about it. */
  onDeaf (error: unknown): void
  /** Asked when somebody begins to speak. @returns whether to leave out a text, asked when it is recognised. */
  listens? (): (text: string) => boolean
}

/**
 * A recogniser of whole utterances as one that streams.
 *
 * The framework asks such a recogniser when 250 ms of silence have passed. This one asks in the first silent moment (32 ms), so that the
 * words are mostly there by then, and the model may begin to think (PREFLIGHT_TRANSCRIPT) before the turn is certainly over. Is it only
 * a pause, the words are forgotten, and the next pause is asked about. It asks about one pause at a time; the end of speech waits for nobody.
 */
export class EagerRecognition extends stt.STT {
  label = 'eager'
  readonly inner: stt.STT
  readonly options: EagerOptions
  readonly #ears: Ears

  /** @param ears which hear what the stream is given. */
  constructor (inner: stt.STT, options: EagerOptions, ears: Ears) {
    super({ streaming: true, interimResults: true })
    this.inner = inner
    this.options = options
    this.#ears = ears
    inner.on('metrics_collected', (metrics) => this.emit('metrics_collected', metrics))
  }

  override get model (): string { return this.inner.model }
  override get provider (): string { return this.inner.provider }

  override _recognize (): Promise<stt.SpeechEvent> {
    throw new Error('it streams')
  }

  override stream ({ connOptions }: { connOptions?: APIConnectOptions } = {}): stt.SpeechStream {
    return new EagerStream(this, this.#ears.stream(), connOptions)
  }
}

/** One request: what is said up to some moment. It never fails. */
interface Attempt { text: Promise<Heard>, over: boolean, /** Nothing has been said since. */ stands: boolean }
interface Heard { event?: stt.SpeechEvent, error?: unknown }

class EagerStream extends stt.SpeechStream {
  label = 'eager.stream'
  readonly #recognition: EagerRecognition
  readonly #heard: ReturnType<Ears['stream']>

  constructor (recognition: EagerRecognition, heard: ReturnType<Ears['stream']>, connOptions?: APIConnectOptions) {
    super(recognition, undefined, connOptions)
    this.#recognition = recognition
    this.#heard = heard
  }

  override close (): void {
    super.close()
    this.#heard.close()
  }

  // The events do not go through the framework's queue for metrics: those are the recogniser's own.
  protected override async monitorMetrics (): Promise<void> {}

  protected override async run (): Promise<void> {
    await Promise.all([this.#drain(), this.#listen()])
  }

  /** The sound itself comes with what is heard in it. */
  async #drain (): Promise<void> {
    while (!(await this.input.next()).done);
    this.#heard.close()
  }

  async #listen (): Promise<void> {
    let frames: AudioFrame[] = []
    let attempt: Attempt | undefined
    let leavesOut = (_text: string): boolean => false
    /** Finals come in the order in which they were said. */
    let said = Promise.resolve()

    for await (const { type, frames: sound, speaking, speechDuration, probability, silenceDuration, inferenceDuration } of this.#heard) {
      switch (type) {
        case VADEventType.START_OF_SPEECH:
          frames = [...sound]
          leavesOut = this.#recognition.options.listens?.() ?? (() => false)
          this.#put({ type: stt.SpeechEventType.START_OF_SPEECH })
          break
        case VADEventType.INFERENCE_DONE:
          if (!speaking) break
          if (speechDuration > LONG) {
            frames = []
            attempt = undefined
            break
          }
          frames.push(...sound)
          if (probability > SPEECH) {
            if (attempt) attempt.stands = false
          } else if (!attempt?.stands && (attempt?.over ?? true)) {
            attempt = this.#ask(combineAudioFrames(frames))
            this.#announce(attempt, leavesOut)
          }
          break
        case VADEventType.END_OF_SPEECH: {
          const speechEndTime = Date.now() - silenceDuration - inferenceDuration
          this.#put({ type: stt.SpeechEventType.END_OF_SPEECH, speechEndTime })
          const all = combineAudioFrames(sound)
          const last = attempt?.stands ? this.#orAll(attempt, all) : this.#ask(all)
          const isLeftOut = leavesOut
          said = said.then(() => this.#conclude(last, isLeftOut, speechEndTime))
          attempt = undefined
          frames = []
        }
      }
    }
    await said
  }

  /** The answer to an attempt, or, when no word was in it, to all of the speech: a short word may need the silence after it. */
  #orAll (attempt: Attempt, all: AudioFrame): Attempt {
    const text = attempt.text.then((heard) => heard.error !== undefined || textOf(heard) ? heard : this.#ask(all).text)
    return { ...attempt, text }
  }

  #ask (sound: AudioFrame): Attempt {
    const { inner } = this.#recognition
    const attempt: Attempt = {
      stands: true,
      over: false,
      text: inner.recognize(sound, this.abortSignal).then((event) => ({ event }), (error: unknown) => ({ error })).finally(() => { attempt.over = true })
    }
    return attempt
  }

  /** Tells what was said so far, if it may be all. */
  async #announce (attempt: Attempt, isLeftOut: (text: string) => boolean): Promise<void> {
    const heard = await attempt.text
    const [event, text] = [heard.event, textOf(heard)]
    if (event && text && attempt.stands && !isLeftOut(text)) this.#put({ ...event, type: stt.SpeechEventType.PREFLIGHT_TRANSCRIPT })
  }

  async #conclude (attempt: Attempt, isLeftOut: (text: string) => boolean, speechEndTime: number): Promise<void> {
    const heard = await attempt.text
    const { event, error } = heard
    if (error !== undefined) {
      if (!this.abortSignal.aborted) this.#recognition.options.onDeaf(error)
      return
    }
    const text = textOf(heard)
    if (event && text && !isLeftOut(text)) this.#put({ ...event, speechEndTime: event.speechEndTime ?? speechEndTime })
  }

  #put (event: stt.SpeechEvent): void {
    if (!this.output.closed) this.output.put(event)
  }
}

function textOf ({ event }: Heard): string | undefined {
  return event?.alternatives?.[0]?.text
}
