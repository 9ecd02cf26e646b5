// What a client is told of a validation error: which field and what is asked for, never what was sent.
import type { FastifySchemaValidationError } from 'fastify'

/**
 * Ajv's errors, shortened: one for each field and demand, a choice of constants (what TypeBox makes of a union) as one sentence.
 * @returns `path` as JSON pointer (RFC 6901), `message` made of the schema alone
 */
export function explain (errors: FastifySchemaValidationError[]): Array<{ path: string, message: string }> {
  const choices = new Map<string, unknown[]>()
  for (const { keyword, instancePath, params } of errors) {
    if (keyword === 'const') choices.set(instancePath, [...choices.get(instancePath) ?? [], params.allowedValue])
  }
  const said = new Map(errors.map(({ keyword, instancePath, message }) => {
    const choice = keyword === 'const' || keyword === 'anyOf' ? choices.get(instancePath) : undefined
    const one = { path: pointer(instancePath), message: choice ? `must be ${choice.map((value) => JSON.stringify(value)).join(' or ')}` : message ?? 'is not valid' }
    return [`${one.path} ${one.message}`, one]
  }))
  return [...said.values()]
}

/** Names of our own fields are all alike; whatever else is in a path was chosen by the client and ends it. */
function pointer (path: string): string {
  const segments = path.split('/')
  const foreign = segments.findIndex((segment) => !/^([a-z][a-z0-9_]{0,39}|\d{1,4}|)$/.test(segment))
  return segments.slice(0, foreign < 0 ? undefined : foreign).join('/')
}
