// Where the agent's speech goes: to the avatar, or, when that is dead, into the room as the agent's own voice.
import { voice } from '@livekit/agents'
import type { AudioFrame } from '@livekit/rtc-node'

export interface SpeechOutputOptions {
  /** A piece of speech has begun to be sent. */
  onPlaying? (): void
  /** All of it has been played, or thrown away. */
  onFinished? (): void
}

/**
 * An output whose destination can be changed in mid-sentence. The framework binds a session to its output when it starts
 * (transcripts are timed by it), so the session is given this one and only this one.
 */
export class SpeechOutput extends voice.AudioOutput {
  #destination: voice.AudioOutput
  #options: SpeechOutputOptions
  #open = 0
  #capturing = false
  /** Resolved when the destination is replaced: what waits for the old one must not wait any longer. */
  #replaced = deferred()

  constructor (destination: voice.AudioOutput, options: SpeechOutputOptions = {}) {
    super(destination.sampleRate, undefined, { pause: false })
    this.#options = options
    this.#destination = destination
    this.#listen(destination)
  }

  override async captureFrame (frame: AudioFrame): Promise<void> {
    const [destination, replaced] = [this.#destination, this.#replaced.promise]
    if (!this.#capturing) {
      this.#capturing = true
      this.#open++
      this.#options.onPlaying?.()
    }
    await super.captureFrame(frame)
    if (destination === this.#destination) await Promise.race([destination.captureFrame(frame), replaced])
  }

  override flush (): void {
    super.flush()
    this.#capturing = false
    this.#destination.flush()
  }

  override clearBuffer (): void {
    this.#destination.clearBuffer()
  }

  /** Changes the destination. Speech under way counts as interrupted: the old destination will not say that it has finished. */
  replace (destination: voice.AudioOutput): void {
    this.#destination = destination
    this.#listen(destination)
    this.#replaced.resolve()
    this.#replaced = deferred()
    super.flush()
    this.#capturing = false
    while (this.#open > 0) this.#finish({ playbackPosition: 0, interrupted: true })
  }

  #listen (destination: voice.AudioOutput): void {
    const current = () => destination === this.#destination
    destination.on(voice.AudioOutput.EVENT_PLAYBACK_STARTED, ({ createdAt }: voice.PlaybackStartedEvent) => {
      if (current()) this.onPlaybackStarted(createdAt)
    })
    destination.on(voice.AudioOutput.EVENT_PLAYBACK_FINISHED, (event: voice.PlaybackFinishedEvent) => {
      if (current()) this.#finish(event)
    })
  }

  #finish (event: voice.PlaybackFinishedEvent): void {
    if (this.#open === 0) return
    this.#open--
    if (this.#open === 0) this.#options.onFinished?.()
    this.onPlaybackFinished(event)
  }
}

function deferred (): { promise: Promise<void>, resolve: () => void } {
  let resolve = () => {}
  const promise = new Promise<void>((_resolve) => { resolve = _resolve })
  return { promise, resolve }
}
