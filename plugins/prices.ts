// What usage costs, from the file that PRICES_FILE names: read and checked once at boot.
import { readFile } from 'node:fs/promises'
import { Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import fp from 'fastify-plugin'
import type { Prices } from '../src/sessions/usage.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Undefined where none are configured. */
    prices: Prices | undefined
  }
}

const price = (of: string) => Type.Optional(Type.Number({ minimum: 0, maximum: 1_000_000, description: `Of ${of}` }))

/** docs/usage.md has an example. Prices are in the currency's own unit; what is not named costs nothing. */
const PricesSchema = Type.Object({
  currency: Type.String({ pattern: '^[A-Z]{3}$', description: 'ISO 4217' }),
  user_minute: price('a minute that a user is connected'),
  agent_minute: price('a minute that an agent is connected'),
  stt_minute: price('a minute of speech that is recognised'),
  tts_minute: price('a minute of speech that is made'),
  million_input_tokens: price('a million tokens that the language model is given'),
  million_output_tokens: price('a million tokens that the language model gives'),
  tool_call: price('a call of a tool')
}, { additionalProperties: false })

/** @throws Error saying what is wrong with the file */
export default fp(async (app) => {
  app.decorate('prices', app.config.PRICES_FILE ? await readPrices(app.config.PRICES_FILE) : undefined)
}, { name: 'prices', decorators: { fastify: ['config'] } })

async function readPrices (path: string): Promise<Prices> {
  let prices: unknown
  try {
    prices = JSON.parse(await readFile(path, 'utf8'))
  } catch (cause) {
    throw new Error(`PRICES_FILE cannot be read: ${(cause as Error).message}`, { cause })
  }
  const [wrong] = Value.Errors(PricesSchema, prices)
  if (wrong) throw new Error(`PRICES_FILE is not right: ${wrong.path || '/'} ${wrong.message.toLowerCase()}`)
  return prices as Prices
}
