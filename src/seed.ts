// `npm run db:seed -- file.json`: puts counsellor categories into the database; those that are there by their id are replaced.
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { Type, type Static } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import Fastify from 'fastify'
import config from '../plugins/config.ts'
import database from '../plugins/database/index.ts'

const Seed = Type.Array(Type.Object({
  id: Type.Optional(Type.String({ pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' })),
  name: Type.String({ minLength: 1, maxLength: 100 }),
  description: Type.Optional(Type.String({ maxLength: 1000 })),
  system_prompt: Type.Optional(Type.Union([Type.String({ maxLength: 10_000 }), Type.Null()])),
  enabled: Type.Optional(Type.Boolean())
}, { additionalProperties: false }))

const [file] = process.argv.slice(2)
try {
  if (!file) throw new Error('Which file? npm run db:seed -- deploy/counselor-categories.json')
  const seed: unknown = JSON.parse(await readFile(file, 'utf8'))
  const [wrong] = Value.Errors(Seed, seed)
  if (wrong) throw new Error(`${file}: ${wrong.path || 'the file'}: ${wrong.message}`)

  const app = Fastify({ logger: { level: 'warn' } })
  await app.register(config, { environment: process.env, dotenv: true })
  await app.register(database)
  const categories = seed as Static<typeof Seed>
  for (const { id = randomUUID(), name, description = '', system_prompt: prompt = null, enabled = true } of categories) {
    await app.categoryStore.put({ id, name, description, system_prompt: prompt, enabled, at: new Date() })
  }
  await app.close()
  console.log(`${categories.length} counsellor categories are in the database.`)
} catch (error) {
  console.error(`Nothing was seeded, or not all. ${(error as Error).message}`)
  process.exit(1)
}
