// Voice detection of a call: one for the framework and for recognition, and never far behind what is said.
import { VADEventType, inference, type VADEvent, type VADStream } from '@livekit/agents'
import { AudioFrame } from '@livekit/rtc-node'

/** Milliseconds of sound that may wait for the model before it is asked about less than all of it. */
const LATE = 160

/** Windows for which one answer stands at most: 256 ms, what the framework takes for the end of speech. */
const MOST = 8

/** Milliseconds of a window. */
const WINDOW = 32

/** Of @livekit/agents 1.9.0, inference/vad.ts and vad.ts there, what is used here. */
interface FrameworkStream {
  _nativeVad?: { predict (window: Int16Array): Promise<number>, reset (): void }
  inputWriter: { write (item: AudioFrame | symbol): Promise<void> }
  sendVADEvent (event: VADEvent): boolean
}

/**
 * The framework's voice detection, listened to by more than one.
 *
 * The framework asks the model about each window of 32 ms and waits for the answer, which comes from another thread. Where every core is
 * taken, to wait twice for one's turn takes longer than a window lasts: what is heard then falls behind what is said, by ten seconds and
 * more, and catches up only when the machine has nothing else to do. A user whose words come that late is not answered. So the model is asked about
 * fewer windows the more of them wait, and about each of them when none does.
 */
export class VoiceDetection extends inference.VAD {
  readonly #listeners = new Set<Listener>()

  /** @throws when the framework's stream is not as it was: rather no agent than one that is deaf. */
  override stream (): VADStream {
    const stream = super.stream()
    const inner = stream as unknown as FrameworkStream
    if (typeof inner._nativeVad?.predict !== 'function' || typeof inner.sendVADEvent !== 'function') throw new Error('VADStream is not as it was: see voice-detection.ts before upgrading @livekit/agents')
    keepUp(inner)
    const send = inner.sendVADEvent
    inner.sendVADEvent = (event) => {
      for (const listener of this.#listeners) listener.tell(event.type === VADEventType.INFERENCE_DONE ? event : { ...event, frames: event.frames.map(copyOf) })
      return send.call(stream, event)
    }
    return stream
  }

  /** The same events for somebody else, as long as they are listened to. */
  listener (): Ears {
    return {
      stream: () => {
        const listener: Listener = new Listener(() => this.#listeners.delete(listener))
        this.#listeners.add(listener)
        return listener
      }
    }
  }
}

/** Where voice is detected for others. */
export interface Ears { stream (): AsyncIterable<VADEvent> & { close (): void } }

function keepUp (stream: FrameworkStream): void {
  const { inputWriter, _nativeVad: model } = stream
  const { write } = inputWriter
  /** Milliseconds of sound that have come, and of those that have been detected in. */
  let [come, done] = [0, 0]
  inputWriter.write = (item) => {
    if (typeof item !== 'symbol') come += 1000 * item.samplesPerChannel / item.sampleRate
    return write.call(inputWriter, item)
  }
  let last = 0
  let left = 0
  stream._nativeVad = {
    async predict (window) {
      done += WINDOW
      if (left-- > 0) return last
      left = Math.min(MOST, 1 + Math.floor((come - done) / LATE)) - 1
      last = await model!.predict(window)
      return last
    },
    reset () {
      ;[come, done, left] = [0, 0, 0]
      model!.reset()
    }
  }
}

class Listener implements AsyncIterableIterator<VADEvent> {
  readonly #events: VADEvent[] = []
  readonly #onClose: () => void
  #wake: (() => void) | undefined
  #closed = false

  constructor (onClose: () => void) { this.#onClose = onClose }

  tell (event: VADEvent): void {
    this.#events.push(event)
    this.#wake?.()
  }

  async next (): Promise<IteratorResult<VADEvent>> {
    while (this.#events.length === 0 && !this.#closed) await new Promise<void>((resolve) => { this.#wake = resolve })
    const value = this.#events.shift()
    return value ? { value, done: false } : { value: undefined, done: true }
  }

  close (): void {
    this.#closed = true
    this.#onClose()
    this.#wake?.()
  }

  [Symbol.asyncIterator] (): this { return this }
}

/** What begins and ends speech comes as views of one buffer, which is written over before anybody has read them: the last half second over the first. */
function copyOf ({ data, sampleRate, channels, samplesPerChannel }: AudioFrame): AudioFrame {
  return new AudioFrame(data.slice(), sampleRate, channels, samplesPerChannel)
}
