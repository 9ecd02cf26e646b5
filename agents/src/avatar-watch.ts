// Decides from what is heard whether an avatar still plays the agent's speech.

export interface AvatarWatchOptions {
  /** Milliseconds of silence, while speech should be playing, after which the avatar counts as dead. */
  limit: number
  /** Called once. */
  onDead (): void
  /** Milliseconds on a clock that only goes forward. */
  now?: () => number
}

/**
 * An avatar that dies stays in the participants' list for 20 s, and the framework waits for its "playback finished" for ever.
 * What shows its death at once is that nothing is heard of it though speech has been sent. That also covers one that plays
 * but never says that it has finished.
 */
export function createAvatarWatch ({ limit, onDead, now = () => performance.now() }: AvatarWatchOptions) {
  /** When sound was last due or heard; undefined while nothing is to be played. */
  let since: number | undefined
  let dead = false
  return {
    /** Speech has been sent to the avatar. */
    playing () { since = now() },
    /** The avatar said that it has finished, or the speech was cleared. */
    finished () { since = undefined },
    /** Sound of the avatar was heard. */
    heard () { if (since !== undefined) since = now() },
    /** To be called every few hundred milliseconds. */
    check () {
      if (dead || since === undefined || now() - since < limit) return
      dead = true
      onDead()
    }
  }
}
