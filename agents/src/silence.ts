// The user's silence: when to ask whether they are still there, and when to end the call.

export interface SilenceOptions {
  /** Seconds of silence of both until the user is asked; 0 = never. */
  ask: number
  /** Seconds from then on, or of silence when nobody asks, until the call is over; 0 = never. */
  end: number
  /** Whether anybody is there to be silent. */
  isThere (): boolean
  onAsk (): void
  onEnd (): void
}

/** Nothing is counted while the agent thinks or speaks. Each time counts anew from the end of what the agent said. */
export function createSilenceWatch ({ ask, end, isThere, onAsk, onEnd }: SilenceOptions) {
  let timer: NodeJS.Timeout | undefined
  let agentIsBusy = true
  let userSpeaks = false
  let asked = ask === 0

  function arm (): void {
    clearTimeout(timer)
    const seconds = asked ? end : ask
    if (agentIsBusy || userSpeaks || seconds === 0 || !isThere()) return
    timer = setTimeout(() => {
      if (asked) return onEnd()
      asked = true
      onAsk()
      arm()
    }, seconds * 1000)
  }

  return {
    /** The agent thinks or speaks, or has done. */
    agent (isBusy: boolean): void {
      agentIsBusy = isBusy
      arm()
    },
    /** The user speaks, or has done. */
    user (speaks: boolean): void {
      userSpeaks = speaks
      if (speaks) asked = ask === 0
      arm()
    },
    /** The user has typed something, has come, or has gone. */
    sign (): void {
      asked = ask === 0
      arm()
    },
    stop (): void { clearTimeout(timer) }
  }
}
