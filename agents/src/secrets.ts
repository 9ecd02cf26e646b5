// What is wrong with a secret: placeholders, published and guessable ones, blanks. The same rules as the service's (plugins/config.ts there).

/** Secrets of documentation: jwt.io's, in its old and its new form. */
const PUBLISHED = new Set(['your-256-bit-secret', 'your-384-bit-secret', 'your-512-bit-secret', 'a-string-secret-at-least-256-bits-long', 'a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long'])

/** Whether a value was meant to be replaced. */
function isPlaceholder (value: string): boolean {
  return PUBLISHED.has(value.trim()) || /^(change|replace|your|example|placeholder|todo|insert|secret$)/i.test(value.trim().replace(/^[<[({"']+/, ''))
}

/** A secret that can be guessed is none (RFC 8725 section 3.5): too few characters, one piece again and again. */
function isGuessable (value: string): boolean {
  return new Set(value).size < 8 || /^(.{1,16}?)\1+.{0,15}$/.test(value)
}

/** What is wrong with a name or key that somebody else has given out; undefined when nothing is. */
export function flawOfKey (value: string): string | undefined {
  // A blank comes from copying; some compare it, some do not.
  if (value !== value.trim()) return 'begins or ends with a blank'
  if (isPlaceholder(value)) return 'is a placeholder'
}

/** What is wrong with a secret that one makes oneself, and that signs; undefined when nothing is. */
export function flawOfSecret (value: string): string | undefined {
  if (value !== value.trim()) return flawOfKey(value)
  if (isPlaceholder(value) || isGuessable(value)) return 'is a placeholder: make one with "openssl rand -hex 32"'
}
