// Guards on what an MCP server sends: how much, and which characters.

/** Thrown into a call whose response is larger than allowed. */
export class TooLargeError extends Error {
  /** What the log says. */
  readonly code = 'response too large'
  constructor (limit: number) {
    super(`response above ${limit} bytes`)
    this.name = 'TooLargeError'
  }
}

/**
 * A fetch whose response bodies end with an error above `limit` bytes.
 * @param onBroken told so, and of every body that breaks off, at once: the MCP client does not fail a call when its stream
 *   breaks, it waits for its timeout.
 */
export function guardedFetch (limit: number, onBroken: (error: Error) => void): typeof fetch {
  return async (input, init) => {
    const response = await fetch(input, init)
    if (!response.body) return response
    const source = response.body.getReader()
    let bytes = 0
    let cancelled = false
    const body = new ReadableStream<Uint8Array>({
      async pull (controller) {
        try {
          const { value, done } = await source.read()
          if (cancelled) return
          if (done) return controller.close()
          bytes += value.byteLength
          if (bytes > limit) throw new TooLargeError(limit)
          controller.enqueue(value)
        } catch (error) {
          source.cancel().catch(() => {})
          controller.error(error)
          // An abort is our own doing.
          if ((error as Error).name !== 'AbortError') onBroken(error as Error)
        }
      },
      cancel (reason) {
        cancelled = true
        return source.cancel(reason)
      }
    })
    const { status, statusText, headers } = response
    return new Response(body, { status, statusText, headers })
  }
}

/** Control characters but line feed and tab, and the marks that turn the direction of text. */
// eslint-disable-next-line no-control-regex
const UNSPEAKABLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g

/** Text from outside, fit for a language model: well-formed, without control characters, `limit` characters at most. */
export function clean (text: string, limit: number): string {
  // Cut before the expensive part, and again after: half a surrogate pair is left at a cut.
  const cut = text.slice(0, limit).toWellFormed().replace(UNSPEAKABLE, '')
  return text.length > limit ? `${cut} [cut]` : cut
}

/** The content of a tool result as text: what is no text is named, never read aloud as base64. */
export function textOf (content: unknown, limit: number): string {
  if (!Array.isArray(content)) return ''
  const parts = content.slice(0, 100).map((part: { type?: unknown, text?: unknown }) =>
    part?.type === 'text' && typeof part.text === 'string' ? part.text.slice(0, limit) : `[${clean(String(part?.type ?? 'something'), 20)} left out]`)
  return clean(parts.join('\n'), limit)
}
