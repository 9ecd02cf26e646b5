// The environment: what is refused and how it is said, what defaults there are, and what the process does about it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { configOf } from './helper.ts'

const good = {
  LIVEKIT_URL: 'ws://127.0.0.1:7880',
  LIVEKIT_API_KEY: 'devkey',
  LIVEKIT_API_SECRET: '7f2c19d0b8e64a35910cd7e2f6a8b34c',
  JWT_SECRET: '0c8f5e7a91d24b63a7e0f1c2d3b49586'
}

t.test('LIVEKIT_WORKER_NUM_IDLE is 2 by default (A1.5)', async (t) => {
  t.equal((await configOf(good)).LIVEKIT_WORKER_NUM_IDLE, 2)
})

t.test('defaults, and what is set', async (t) => {
  const config = await configOf({ ...good, VOICE_TOKEN_TTL: '600', VOICE_AGENT_NAME: '', VIDEO_AGENT_NAME: 'face', PORT: '' })
  t.match(config, {
    VOICE_TOKEN_TTL: 600,
    VIDEO_TOKEN_TTL: 86_400,
    VOICE_AGENT_NAME: '',
    VIDEO_AGENT_NAME: 'face',
    PORT: 3000,
    HOST: '127.0.0.1',
    END_ON_AGENT_FAILURE: false
  })
  t.equal((await configOf({ ...good, START_LIMIT_PER_MINUTE: '0' })).START_LIMIT_PER_MINUTE, 0, '0 is a value')
})

t.test('secrets that look made pass, and keys on this machine may come without TLS', async (t) => {
  for (const LIVEKIT_API_SECRET of ['secret-of-at-least-32-characters-xx', 'devkey-devsecret-0123456789abcdefgh', 'f'.repeat(16) + '0123456789abcdef0123456789abcdef']) {
    t.equal((await configOf({ ...good, LIVEKIT_API_SECRET })).LIVEKIT_API_SECRET, LIVEKIT_API_SECRET)
  }
  for (const host of ['127.0.0.1:8080', 'localhost', '[::1]:8080']) await configOf({ ...good, JWT_SECRET: '', JWT_JWKS_URL: `http://${host}/keys`, JWT_ISSUER: 'i', JWT_AUDIENCE: 'a' })
})

t.test('every missing variable is named (A1.2)', async (t) => {
  for (const name of ['LIVEKIT_URL', 'LIVEKIT_API_KEY', 'LIVEKIT_API_SECRET'] as const) {
    for (const value of [undefined, '']) await t.rejects(configOf({ ...good, [name]: value }), { message: new RegExp(`^The environment is not complete: ${name} is required\\.`) })
  }
  await t.rejects(configOf({}), { message: /LIVEKIT_URL is required; LIVEKIT_API_KEY is required; LIVEKIT_API_SECRET is required/ })
  await t.rejects(configOf({ ...good, JWT_SECRET: '' }), { message: /JWT_SECRET or JWT_JWKS_URL is required/ })
})

t.test('what is wrong is refused by name, and its value is not repeated', async (t) => {
  const cases: Array<[NodeJS.ProcessEnv, RegExp]> = [
    [{ LIVEKIT_API_SECRET: 'too-short' }, /LIVEKIT_API_SECRET must NOT have fewer than 32 characters/],
    [{ JWT_SECRET: 'too-short' }, /JWT_SECRET must NOT have fewer than 32 characters/],
    [{ LIVEKIT_API_SECRET: 'change-me-to-a-secret-of-32-characters' }, /LIVEKIT_API_SECRET is a placeholder/],
    [{ JWT_SECRET: 'a'.repeat(40) }, /JWT_SECRET is a placeholder/],
    [{ JWT_SECRET: good.LIVEKIT_API_SECRET }, /JWT_SECRET and LIVEKIT_API_SECRET must differ/],
    [{ JWT_SECRET: '1234567890'.repeat(4) }, /JWT_SECRET is a placeholder/],
    [{ JWT_SECRET: 'a-string-secret-at-least-256-bits-long' }, /JWT_SECRET is a placeholder/],
    [{ LIVEKIT_API_SECRET: '<change-me-to-something-of-32-characters>' }, /LIVEKIT_API_SECRET is a placeholder/],
    [{ JWT_SECRET: ` ${good.JWT_SECRET}` }, /JWT_SECRET begins or ends with a blank/],
    [{ METRICS_TOKEN: good.JWT_SECRET }, /JWT_SECRET and METRICS_TOKEN must differ/],
    [{ TRUST_PROXY: '10.0.0.0/8, 0.0.0.0/0' }, /TRUST_PROXY must not trust every address/],
    [{ TRUST_PROXY: '::/0' }, /TRUST_PROXY must not trust every address/],
    [{ JWT_SECRET: '', JWT_JWKS_URL: 'https://id.example.com/keys' }, /JWT_ISSUER is required with JWT_JWKS_URL; JWT_AUDIENCE is required with JWT_JWKS_URL/],
    [{ JWT_SECRET: '', JWT_JWKS_URL: 'http://id.example.com/keys', JWT_ISSUER: 'i', JWT_AUDIENCE: 'a' }, /JWT_JWKS_URL must be https/],
    [{ JWT_ADMIN: 'admin' }, /JWT_ADMIN is not of the right form/],
    [{ API_DOCS: 'yes' }, /API_DOCS must be/],
    [{ LIVEKIT_URL: 'localhost:7880' }, /LIVEKIT_URL is not of the right form/],
    [{ LIVEKIT_URL: 'wss://livekit.example.com/path' }, /LIVEKIT_URL must not have a path/],
    [{ LIVEKIT_API_URL: 'http://livekit:7880/twirp' }, /LIVEKIT_API_URL must not have a path/],
    [{ LIVEKIT_API_URL: 'http://one:7880, http://two:7880/twirp' }, /LIVEKIT_API_URL must not have a path/],
    [{ LIVEKIT_API_URL: 'http://one:7880,' }, /LIVEKIT_API_URL is not of the right form/],
    [{ LIVEKIT_API_URL: 'https://a.livekit.cloud,https://b.livekit.cloud' }, /LIVEKIT_API_URL must not list several addresses with LiveKit Cloud/],
    [{ LIVEKIT_URL: 'ws://one:7880,ws://two:7880' }, /LIVEKIT_URL is not of the right form/],
    [{ JWT_JWKS_URL: 'https://id.example.com/keys' }, /JWT_SECRET and JWT_JWKS_URL exclude each other/],
    [{ PORT: 'http' }, /PORT must be integer/],
    [{ PORT: '70000' }, /PORT must be <= 65535/],
    [{ VOICE_TOKEN_TTL: '6h' }, /VOICE_TOKEN_TTL must be integer/],
    [{ LOG_LEVEL: 'loud' }, /LOG_LEVEL must be/],
    [{ CORS_ORIGINS: '*' }, /CORS_ORIGINS is not of the right form/],
    [{ DATABASE_URL: 'mysql://x' }, /DATABASE_URL is not of the right form/],
    [{ METRICS_TOKEN: 'short' }, /METRICS_TOKEN must NOT have fewer than 16/],
    [{ RETENTION_DAYS: '1' }, /RETENTION_DAYS must be >= 2/]
  ]
  for (const [env, message] of cases) {
    await t.rejects(configOf({ ...good, ...env }), { message })
    for (const value of Object.values(env)) {
      try { await configOf({ ...good, ...env }) } catch (error) { if (value!.length > 8) t.notMatch((error as Error).message, value!) }
    }
  }
})

t.test('the process says it and ends by itself, with an error', async (t) => {
  for (const name of Object.keys(good) as Array<keyof typeof good>) {
    const { [name]: _missing, ...env } = good
    const child = spawn(process.execPath, ['--import=tsx', 'src/server.ts'], { env: { PATH: process.env.PATH, ...env } })
    let said = ''
    child.stderr.on('data', (chunk) => { said += chunk })
    const [code] = await once(child, 'exit')
    t.equal(code, 1)
    t.match(said, new RegExp(`livekit-sessions cannot start\\. .*${name}`))
  }
})
