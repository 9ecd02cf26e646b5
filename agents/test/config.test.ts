// The configuration, the dispatch metadata and the prompts: what is accepted, and what is said about what is not.
import assert from 'node:assert/strict'
import { mkdtempSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ConfigError, VARIABLES, agentName, loadConfig } from '../src/config.ts'
import { AGENT_TYPES, readMetadata } from '../src/metadata.ts'
import { avatarPrompt, parsePrompt, voicePrompt, readPrompts } from '../src/prompts.ts'

const FOLDER = join(import.meta.dirname, '..')
const livekit = { LIVEKIT_URL: 'ws://127.0.0.1:7880', LIVEKIT_API_KEY: 'key', LIVEKIT_API_SECRET: 'secret-of-at-least-32-characters-xx' }
const voice = { ...livekit, AGENT: 'voice', STT_BASE_URL: 'http://127.0.0.1:8000/v1', LLM_BASE_URL: 'http://127.0.0.1:11434/v1', LLM_MODEL: 'm', TTS_BASE_URL: 'http://127.0.0.1:8001/v1' }
const avatar = { ...livekit, AGENT: 'avatar', OPENAI_API_KEY: 'o', BEY_API_KEY: 'b', BEY_AVATAR_ID: 'a' }

const problems = (env: Record<string, string>): string[] => {
  try {
    loadConfig(env)
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error.problems
  }
  return assert.fail('accepted')
}

test('names each missing variable of the chosen agent, an empty one included', () => {
  for (const [env, names] of [
    [voice, ['LIVEKIT_URL', 'LIVEKIT_API_KEY', 'LIVEKIT_API_SECRET', 'STT_BASE_URL', 'LLM_BASE_URL', 'LLM_MODEL', 'TTS_BASE_URL']],
    [avatar, ['LIVEKIT_URL', 'LIVEKIT_API_KEY', 'LIVEKIT_API_SECRET', 'OPENAI_API_KEY', 'BEY_API_KEY', 'BEY_AVATAR_ID']],
    [{ ...livekit, AGENT: 'echo' }, ['LIVEKIT_URL', 'LIVEKIT_API_KEY', 'LIVEKIT_API_SECRET']]
  ] as const) {
    assert.deepEqual(problems({ AGENT: env.AGENT }).sort(), names.map((name) => `${name} is missing`).sort())
    for (const name of names) assert.deepEqual(problems({ ...env, [name]: '  ' }), [`${name} is missing`])
  }
  assert.deepEqual(problems({}), ['AGENT is missing (voice, avatar, echo)'])
})

test('names what is wrong, without its value', () => {
  for (const [name, value] of Object.entries({
    LIVEKIT_URL: 'ws://127.0.0.1/livekit', LIVEKIT_API_SECRET: 'short', STT_BASE_URL: 'localhost', LIVEKIT_WORKER_NUM_IDLE: '0', MAX_JOBS: 'many', LOG_LEVEL: 'loud', HEALTH_PORT: '70000', DEPARTURE_TIMEOUT: '-1'
  })) {
    const [problem, ...others] = problems({ ...voice, [name]: value })
    assert.ok(problem!.startsWith(`${name} is wrong`), problem)
    assert.deepEqual(others, [])
    assert.ok(!problem!.includes(value))
  }
  assert.match(problems({ ...voice, AGENT: 'chess' })[0]!, /AGENT/)
  assert.match(problems({ ...voice, MCP_CONFIG: '{' })[0]!, /MCP_CONFIG/)
})

test('refuses secrets that can be guessed, naming the variable, never the value', () => {
  const repeated = (piece: string) => piece.repeat(40).slice(0, 40)
  const guessable = [
    '<change-me-to-what-openssl-rand-hex-32-gives>', 'replace-me-with-at-least-32-random-characters', 'Your_secret_of_32_characters_or_more', '"example-secret-that-is-long-enough-0123"',
    'a-string-secret-at-least-256-bits-long', repeated('1234567890'), repeated('a'), repeated('ab12'), repeated('0123456789abcdef')
  ]
  for (const value of guessable) {
    for (const env of [voice, avatar, { ...livekit, AGENT: 'echo' }]) assert.deepEqual(problems({ ...env, LIVEKIT_API_SECRET: value }), ['LIVEKIT_API_SECRET is wrong: is a placeholder: make one with "openssl rand -hex 32"'])
  }
  assert.deepEqual(problems({ ...voice, LIVEKIT_API_SECRET: 'your-256-bit-secret' }).map((problem) => problem.replace(/:.*/, '')), ['LIVEKIT_API_SECRET is wrong'])
  assert.deepEqual(problems({ ...voice, LIVEKIT_API_SECRET: 'short' }), ['LIVEKIT_API_SECRET is wrong: must have at least 32 characters'])

  const keys = { LIVEKIT_API_KEY: voice, STT_API_KEY: voice, LLM_API_KEY: voice, TTS_API_KEY: voice, LLM_MODEL: voice, OPENAI_API_KEY: avatar, BEY_API_KEY: avatar, BEY_AVATAR_ID: avatar }
  for (const [name, env] of Object.entries(keys)) {
    for (const value of ['replace-me', '<your key>', 'change-me', 'your-256-bit-secret']) assert.deepEqual(problems({ ...env, [name]: value }), [`${name} is wrong: is a placeholder`])
  }
  for (const [name, env] of Object.entries({ LIVEKIT_API_SECRET: voice, ...keys })) {
    for (const value of [` ${livekit.LIVEKIT_API_SECRET}`, `${livekit.LIVEKIT_API_SECRET}\n`]) assert.deepEqual(problems({ ...env, [name]: value }), [`${name} is wrong: begins or ends with a blank`])
  }
  assert.deepEqual(problems({ ...voice, LIVEKIT_API_KEY: livekit.LIVEKIT_API_SECRET }), ['LIVEKIT_API_KEY and LIVEKIT_API_SECRET must differ'])
})

test('refuses credentials of tool servers that are placeholders, and asks nothing of what the agent does not use', () => {
  const MCP_CONFIG = JSON.stringify({ servers: [{ name: 'one', url: 'http://127.0.0.1/', auth: { type: 'bearer', token_env: 'ONE_TOKEN' }, allow: {} }] })
  assert.equal(loadConfig({ ...voice, MCP_CONFIG, ONE_TOKEN: 'one' }).mcpServers[0]!.headers.authorization, 'Bearer one')
  for (const [value, said] of [['replace-me', 'is a placeholder'], ['one ', 'begins or ends with a blank']]) {
    assert.deepEqual(problems({ ...voice, MCP_CONFIG, ONE_TOKEN: value! }), [`MCP_CONFIG: server "one" needs the variable ONE_TOKEN, which ${said}`])
  }
  loadConfig({ ...livekit, AGENT: 'echo', OPENAI_API_KEY: 'replace-me', LLM_MODEL: 'replace-me' })
})

test('.env.example is refused as it stands, naming what has to be filled in', () => {
  const given = Object.fromEntries([...readFileSync(join(FOLDER, '.env.example'), 'utf8').matchAll(/^([A-Z][A-Z_]+)=(.*)$/gm)].map(([, name, value]) => [name, value]))
  assert.deepEqual(problems(given).map((problem) => problem.split(' ')[0]), ['LIVEKIT_API_KEY', 'LIVEKIT_API_SECRET', 'LLM_MODEL'])
})

test('has the defaults of the contract', () => {
  const config = loadConfig(voice)
  assert.equal(config.LIVEKIT_WORKER_NUM_IDLE, 2)
  assert.equal(config.DEPARTURE_TIMEOUT, 60)
  assert.equal(config.serverUrl, livekit.LIVEKIT_URL)
  assert.equal(agentName(config), 'voice-agent')
  assert.equal(agentName(loadConfig(avatar)), 'avatar-agent')
  assert.equal(agentName(loadConfig({ ...livekit, AGENT: 'echo' })), 'voice-agent')
  assert.equal(agentName(loadConfig({ ...livekit, AGENT: 'echo', ECHO_MODE: 'video' })), 'avatar-agent')
  assert.equal(loadConfig({ ...voice, LIVEKIT_API_URL: 'http://livekit:7880' }).serverUrl, 'http://livekit:7880')
})

test('.env.example lists every variable, in order', () => {
  const names = [...readFileSync(join(FOLDER, '.env.example'), 'utf8').matchAll(/^#? ?([A-Z][A-Z_]+)=/gm)].map(([, name]) => name)
  assert.deepEqual(names, VARIABLES)
})

test('the agents\' section of the service\'s .env.example lists the variables that the service does not have, in the same order', () => {
  const [service = '', ...others] = readFileSync(join(FOLDER, '../.env.example'), 'utf8').split(/^# ===== (?=agents\/)/m)
  const namesIn = (text: string) => [...text.matchAll(/^(?:# )?([A-Z][A-Z0-9_]+)=/gm)].map(([, name]) => name!)
  assert.deepEqual(namesIn(others[0]!.split(/^# ===== /m)[0]!), VARIABLES.filter((name) => !namesIn(service).includes(name)))
})

const nothing = { acknowledgements: [], greeting: '', apology: '', waiting: '', still_there: '', gone: '', language: '', voice: '', farewell: '', press_keys: '', hand_over: '' }

test('prompts of a language: by the user\'s wish, with its voice; of one that is not there, the agent\'s own', () => {
  const folder = mkdtempSync(join(tmpdir(), 'prompts-'))
  const write = (file: string, text: string) => {
    mkdirSync(join(folder, 'voice', file, '..'), { recursive: true })
    writeFileSync(join(folder, 'voice', file), text)
  }
  write('shared.md', '---\nlanguage: en\nvoice: amy\n---\nSpeak.')
  write('writing.md', 'Write.')
  write('diet.md', '---\ngreeting: Hi\n---\nEat.')
  write('tracker.md', '---\nlanguage: fr\nvoice: siwis\n---\nNote.')
  write('de/shared.md', '---\nvoice: thorsten\n---\nSprich.')
  write('de/diet.md', '---\ngreeting: Hallo\n---\nIss.')
  const read = (type: 'diet' | 'tracker', more = {}) => {
    const { greeting, language, voice, instructions } = voicePrompt(type, { folder, ...more })
    return [greeting, language, voice, instructions]
  }
  assert.deepEqual(read('diet'), ['Hi', 'en', 'amy', 'Eat.\n\nSpeak.'])
  assert.deepEqual(read('diet', { inWriting: true }), ['Hi', 'en', 'amy', 'Eat.\n\nWrite.'])
  assert.deepEqual(read('tracker'), ['', 'fr', 'siwis', 'Note.\n\nSpeak.'])
  for (const language of ['de', 'de-AT', 'DE']) assert.deepEqual(read('diet', { language }), ['Hallo', 'de', 'thorsten', 'Iss.\n\nSprich.'])
  assert.deepEqual(read('tracker', { language: 'de' }), ['', 'fr', 'siwis', 'Note.\n\nSpeak.'], 'has no German')
  for (const language of ['it', '../de', '']) assert.deepEqual(read('diet', { language }), ['Hi', 'en', 'amy', 'Eat.\n\nSpeak.'])
  write('diet.md', '---\ngreeting: Hey\n---\nEat well.')
  assert.deepEqual(read('diet'), ['Hey', 'en', 'amy', 'Eat well.\n\nSpeak.'], 'as it is now')
})

test('what may be done in a call by telephone: for one agent type, or for all but one; nothing when nothing is said', () => {
  const folder = mkdtempSync(join(tmpdir(), 'prompts-'))
  mkdirSync(join(folder, 'voice'))
  const write = (file: string, text: string) => writeFileSync(join(folder, 'voice', file), text)
  const read = (type: 'diet' | 'tracker') => {
    const { press_keys: keys, hand_over: person } = voicePrompt(type, { folder })
    return [keys, person]
  }
  write('shared.md', 'Speak.')
  write('diet.md', '---\npress_keys: on\n---\nEat.')
  write('tracker.md', 'Note.')
  assert.deepEqual([read('diet'), read('tracker')], [['on', ''], ['', '']])
  write('shared.md', '---\nhand_over: tel:+15550199\n---\nSpeak.')
  write('tracker.md', '---\nhand_over: off\n---\nNote.')
  assert.deepEqual([read('diet'), read('tracker')], [['on', 'tel:+15550199'], ['', 'off']])
  for (const [wrong, how] of [['press_keys: yes', 'on or off'], ['hand_over: +15550199', 'tel:<number>, sip:<user>@<host> or off'], ['hand_over: tel:1; rm', 'tel:<number>']]) {
    assert.throws(() => parsePrompt(`---\n${wrong}\n---\nBe kind.`), ({ message }: Error) => message.includes(`must be ${how}`), wrong)
  }
  assert.equal(parsePrompt('---\nhand_over: sip:desk@example.com\n---\nBe kind.').hand_over, 'sip:desk@example.com')
})

const metadata = { session_id: 's', room_name: 'r', user_id: 'u', mode: 'voice', agent_type: 'diet', request_id: 'q', dispatch: 1 }

test('reads the metadata of both modes', () => {
  assert.deepEqual(readMetadata(JSON.stringify(metadata), 'r'), { ok: true, metadata })
  const { agent_type: _, ...bare } = metadata
  assert.deepEqual(readMetadata(JSON.stringify(bare), 'r'), { ok: true, metadata: { ...metadata, agent_type: 'general' } })
  const video = { ...bare, mode: 'video', counselor_category: 'Exams', system_prompt: null }
  assert.deepEqual(readMetadata(JSON.stringify(video), 'r'), { ok: true, metadata: video })
  assert.ok(readMetadata(JSON.stringify({ ...bare, mode: 'video' }), 'r').ok)
})

test('refuses metadata of any other shape, saying where, not what', () => {
  for (const more of [{ extra: 'SECRET' }, { mode: 'SECRET' }, { agent_type: 'SECRET' }, { dispatch: 0 }, { dispatch: '1' }, { session_id: '' }, { user_id: undefined }, { system_prompt: 'SECRET' }, { room_name: 'SECRET' }]) {
    const result = readMetadata(JSON.stringify({ ...metadata, ...more }), 'r')
    assert.ok(!result.ok)
    assert.ok(!result.reason.includes('SECRET') && result.reason.length > 0, result.reason)
  }
  for (const text of ['', 'null', '[]', '"x"', '{']) assert.ok(!readMetadata(text, 'r').ok)
})

test('every agent type has instructions and a greeting, and the rules of a call', () => {
  for (const type of AGENT_TYPES) {
    const prompt = voicePrompt(type)
    assert.ok(prompt.greeting.length > 10 && prompt.instructions.length > 200)
    assert.match(prompt.instructions, /read aloud/)
  }
  assert.match(avatarPrompt().instructions, /supportive counsellor/)
  assert.deepEqual(readdirSync(join(FOLDER, 'prompts/voice')).sort(), [...AGENT_TYPES, 'shared', 'writing'].map((type) => `${type}.md`).sort())
})

test('prompts can be replaced by a folder of one\'s own', () => {
  const folder = mkdtempSync(join(tmpdir(), 'prompts-'))
  mkdirSync(join(folder, 'voice'))
  writeFileSync(join(folder, 'voice/diet.md'), 'Eat.\r\n')
  writeFileSync(join(folder, 'voice/shared.md'), '---\napology: Sorry.\n---\nSpeak.')
  assert.deepEqual(voicePrompt('diet', { folder }), { ...nothing, apology: 'Sorry.', instructions: 'Eat.\n\nSpeak.' })
  assert.throws(() => voicePrompt('workout', { folder }), /workout\.md/)
  writeFileSync(join(folder, 'voice/diet.md'), '---\ngreeting: Hi\n---\n')
  const broken: string[] = []
  assert.equal(voicePrompt('diet', { folder, onBroken: ({ message }) => broken.push(message) }).instructions, 'Eat.\n\nSpeak.', 'the last one that was right')
  assert.deepEqual(readPrompts(folder), broken)
  assert.equal(broken.length, 1)
  assert.match(broken[0]!, /diet\.md: no instructions/)
  assert.throws(() => parsePrompt('---\ngreting: Hello\n---\nBe kind.'), /the head has "greting"/)
  assert.deepEqual(parsePrompt('---\ngreeting:  Hello there \n---\nBe kind.\n---\nAlways.'), { ...nothing, greeting: 'Hello there', instructions: 'Be kind.\n---\nAlways.' })
})
