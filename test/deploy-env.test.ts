// deploy/env.sh: the .env of a new machine has all that the compose file insists on, and an address that clients reach.
import { execFile } from 'node:child_process'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseEnv, promisify } from 'node:util'
import t, { type Test } from 'tap'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Runs it where names lead to these addresses: the look-up alone is stood in for. */
async function run (t: Test, addresses: Record<string, string[]>, ...args: string[]) {
  const folder = t.testdir()
  const answers = Object.entries(addresses).map(([name, lines]) => `"${name}") printf '%s\\n' ${lines.map((address) => `'${address} STREAM'`).join(' ')} ;;`)
  // getent's own two ways: `ahostsv4 NAME`, `ahostsv6 NAME`; 2 where there is none.
  await writeFile(join(folder, 'getent'), `#!/bin/sh\ncase "$1 $2" in\n${answers.join('\n')}\n*) exit 2 ;;\nesac\n`)
  await chmod(join(folder, 'getent'), 0o755)
  return await promisify(execFile)('sh', ['deploy/env.sh', ...args], { cwd: root, env: { PATH: `${folder}:${process.env.PATH}` } })
    .then(({ stdout, stderr }) => ({ code: 0, stdout, stderr }), ({ code, stdout, stderr }) => ({ code, stdout, stderr }) as { code: number, stdout: string, stderr: string })
}

t.test('writes what the compose file insists on, with secrets that are new each time', async (t) => {
  const names = { 'ahostsv4 livekit.calls.example.com': ['203.0.113.7'], 'ahostsv6 calls.example.com': ['::ffff:203.0.113.7'] }
  const [one, other] = [await run(t, names, 'calls.example.com'), await run(t, names, 'calls.example.com')]
  t.match(one, { code: 0, stderr: '' })
  const [env, again] = [parseEnv(one.stdout), parseEnv(other.stdout)] as Array<Record<string, string>>
  t.match(env, { COMPOSE_PROFILES: 'edge', DOMAIN: 'calls.example.com', LIVEKIT_NODE_IP: '203.0.113.7', LIVEKIT_API_KEY: /^API\w{12}$/, LIVEKIT_API_SECRET: /^\w{64}$/, POSTGRES_PASSWORD: /^\w{48}$/, JWT_SECRET: /^\w{64}$/ })
  for (const name of ['LIVEKIT_API_SECRET', 'POSTGRES_PASSWORD', 'JWT_SECRET', 'STT_API_KEY', 'TTS_API_KEY']) t.not(env![name], again![name], name)
  const insisted = [...(await readFile(join(root, 'docker-compose.yml'), 'utf8')).matchAll(/\$\{(\w+):\?/g)].map(([, name]) => name!)
  t.same(insisted.filter((name) => !env![name]), [])
})

t.test('takes no address of the machine to itself, which its own name may lead to', async (t) => {
  const own = { 'ahostsv4 calls.example.com': ['127.0.1.1'] }
  t.match(parseEnv((await run(t, { ...own, 'ahostsv4 livekit.calls.example.com': ['203.0.113.7'] }, 'calls.example.com')).stdout), { LIVEKIT_NODE_IP: '203.0.113.7' })
  t.match(await run(t, { ...own, 'ahostsv4 livekit.calls.example.com': ['127.0.0.1'] }, 'calls.example.com'), { code: 1, stdout: '', stderr: /127\.0\.0\.1 is no address that clients reach/ })
  t.match(await run(t, own, 'calls.example.com'), { code: 2, stdout: '', stderr: /livekit\.calls\.example\.com leads nowhere yet/ })
  t.match(parseEnv((await run(t, own, 'calls.example.com', '203.0.113.9')).stdout), { LIVEKIT_NODE_IP: '203.0.113.9' })
})

t.test('says when a name leads here by IPv6, too', async (t) => {
  const said = await run(t, { 'ahostsv6 turn.calls.example.com': ['2001:db8::7'] }, 'calls.example.com', '203.0.113.7')
  t.match(said, { code: 0, stderr: 'turn.calls.example.com has an AAAA record: remove it (docs/deployment.md)\n' })
})
