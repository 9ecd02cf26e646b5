// A tool's JSON schema as a check of arguments that cannot hold the process up.
import { Ajv, type ErrorObject } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { setImmediate as turn } from 'node:timers/promises'
import { Script, createContext } from 'node:vm'

/** Milliseconds of the clock. Usual are 20 to 80 for making a check, and 0.1 for one. */
const MAKING = 3000
const CHECKING = 250
/** A machine that is busy elsewhere may stop this thread for as long: only who is too slow each time is. */
const TRIES = 2

/** Thrown when making a check, or checking, took too long. */
export class TooSlowError extends Error {}

/** The first thing that is wrong with the arguments; undefined when nothing is. @throws TooSlowError */
export type Check = (args: unknown) => Promise<Pick<ErrorObject, 'instancePath' | 'keyword' | 'message'> | undefined>

/**
 * MCP means draft 2020-12 unless the schema says otherwise; SDKs still send draft 7.
 *
 * Whoever runs a tool's server writes the schema, and in a few lines can make the check take hours: by a regular expression that is
 * tried in 2^n ways, or by references that fork. Both run on the thread that passes the sound of the call on. V8 can stop either,
 * and whatever else takes long, where leaving out `pattern` would stop the first only.
 * @throws TooSlowError, or the validator's own error when the schema is none
 */
export function createCheck (schema: Record<string, unknown>): Check {
  const Dialect = String(schema.$schema ?? '').includes('draft-07') ? Ajv : Ajv2020
  const validate = within(MAKING, () => addFormats.default(new Dialect({ strict: false, logger: false })).compile(schema))
  return async (args) => {
    for (let count = 1; ; count++) {
      try {
        return within(CHECKING, () => validate(args)) ? undefined : validate.errors?.[0]
      } catch (error) {
        if (count >= TRIES) throw error
        await turn()
      }
    }
  }
}

const context = createContext({})
const script = new Script('work()')

/** Runs something that is not asynchronous, and stops it after `limit` milliseconds. */
function within<T> (limit: number, work: () => T): T {
  context.work = work
  try {
    return script.runInContext(context, { timeout: limit }) as T
  } catch (error) {
    throw (error as { code?: unknown }).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT' ? new TooSlowError() : error
  } finally {
    context.work = undefined
  }
}
