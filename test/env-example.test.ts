// .env.example: the same variables as the schema, and a file that cannot be deployed as it is.
import { readFile } from 'node:fs/promises'
import t from 'tap'
import { ConfigSchema } from '../plugins/config.ts'
import { configOf } from './helper.ts'

const text = await readFile(new URL('../.env.example', import.meta.url), 'utf8')
// Sections begin with "# ===== name"; the first one is the service's.
const [, service = '', ...others] = text.split(/^# ===== .*$/m)

interface Line { name: string, value: string, commented: boolean, explained: boolean }

const variable = /^(# )?([A-Z][A-Z0-9_]*)=(.*)$/

function linesOf (section: string): Line[] {
  return section.split('\n').flatMap((line, at, all) => {
    const [, hash, name, value] = variable.exec(line) ?? []
    const before = all[at - 1] ?? ''
    return name ? [{ name, value: value!, commented: hash !== undefined, explained: before.startsWith('# ') && !variable.test(before) }] : []
  })
}

const properties: Record<string, { default?: unknown }> = ConfigSchema.properties
const required: string[] = ConfigSchema.required!
const lines = linesOf(service)
const secret = (n: number) => `${n}`.repeat(2) + 'a8c1e5d2b4f60739a8c1e5d2b4f6073'

t.test('lists the variables of the schema, in its order, each with a comment', (t) => {
  t.same(lines.map((line) => line.name), Object.keys(properties))
  t.same(lines.filter((line) => !line.explained), [])
  t.end()
})

t.test('shows the default of each optional variable, and sets the required ones alone', (t) => {
  for (const { name, value, commented } of lines) {
    const isRequired = required.includes(name) && properties[name]!.default === undefined
    t.equal(commented, !isRequired && name !== 'JWT_SECRET', `${name}: commented`)
    if (commented) t.equal(value, String(properties[name]!.default ?? ''), `${name}: default`)
  }
  t.end()
})

t.test('is refused as it stands, naming every secret that has to be made', async (t) => {
  const given = Object.fromEntries(lines.filter((line) => !line.commented).map(({ name, value }) => [name, value]))
  await t.rejects(configOf(given), { message: /LIVEKIT_API_SECRET is a placeholder.*JWT_SECRET is a placeholder/ })
})

t.test('works once the secrets are made, and uncommenting a default changes nothing', async (t) => {
  const made = { LIVEKIT_API_SECRET: secret(1), JWT_SECRET: secret(2) }
  const given = (all: boolean) => ({ ...Object.fromEntries(lines.filter((line) => all || !line.commented).map(({ name, value }) => [name, value])), ...made })
  t.same(await configOf(given(true)), await configOf(given(false)))
})

t.test('names no variable twice', (t) => {
  const names = [...lines, ...others.flatMap(linesOf)].map((line) => line.name)
  t.same(names.filter((name, at) => names.indexOf(name) !== at), [])
  t.end()
})
