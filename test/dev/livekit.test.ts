import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { RoomServiceClient } from 'livekit-server-sdk'
import { findLiveKit, freeTcpPort, LIVEKIT_VERSION, startLiveKit } from '../../dev/livekit/livekit.ts'

const livekitTs = fileURLToPath(new URL('../../dev/livekit/livekit.ts', import.meta.url))
const { binary } = await findLiveKit({ log: t.comment })

t.test('starts on the loopback, crashes, comes back at the same address without its rooms, stops', async (t) => {
  const server = await startLiveKit({ binary, departureTimeout: 7 })
  t.teardown(server.stop)
  const rooms = new RoomServiceClient(server.url, server.apiKey, server.apiSecret)
  t.match(server, { url: `ws://127.0.0.1:${server.port}`, apiSecret: /^[0-9a-f]{64}$/, version: LIVEKIT_VERSION })

  const room = await rooms.createRoom({ name: 'r' })
  t.equal(room.departureTimeout, 7)
  const { pid } = server

  await server.kill()
  await t.rejects(rooms.listRooms(), { cause: { code: 'ECONNREFUSED' } })
  await server.restart()
  t.not(server.pid, pid)
  t.same(await rooms.listRooms(), [])
  t.match(server.log(), /starting LiveKit server/)

  await server.stop()
  t.notOk(isAlive(server.pid))
})

t.test('fails with the end of the server\'s log when it does not start', async (t) => {
  await t.rejects(startLiveKit({ binary, config: { room: { no_such_setting: 1 } } }), /did not start[\s\S]+no_such_setting/)
})

t.test('refuses a port that is taken', async (t) => {
  const server = await startLiveKit({ binary })
  t.teardown(server.stop)
  await t.rejects(startLiveKit({ binary, port: server.port }), { code: 'EADDRINUSE' })
})

t.test('does not outlive the process that started it, even one that is killed', async (t) => {
  const port = await freeTcpPort()
  const parent = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), livekitTs, '--port', String(port)], {
    env: { ...process.env, LIVEKIT_SERVER_BIN: binary }
  })
  let printed = ''
  parent.stdout.on('data', (chunk) => { printed += chunk })
  t.teardown(() => parent.kill('SIGKILL'))
  while (!printed.includes('LIVEKIT_API_SECRET=')) await sleep(20)
  t.match(printed, `LIVEKIT_URL=ws://127.0.0.1:${port}\nLIVEKIT_API_KEY=devkey\n`)
  t.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 200)

  parent.kill('SIGKILL')
  const ended = Date.now()
  while (await fetch(`http://127.0.0.1:${port}/`).then(() => true, () => false)) {
    if (Date.now() - ended > 3000) throw new Error('it is still there')
    await sleep(20)
  }
})

t.test('finds a server in the order LIVEKIT_SERVER_BIN, PATH, cache, and builds one otherwise', async (t) => {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'find-')))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const named = await program(join(folder, 'named'), 'echo livekit-server version 1.2.3')
  const onPath = await program(join(folder, 'path', 'livekit-server'), 'echo livekit-server version 1.2.4')
  const cached = join(folder, 'cache', 'livekit-sessions', `livekit-server-v${LIVEKIT_VERSION}`, 'server')
  const go = join(folder, 'go', 'go')

  environment(t, { LIVEKIT_SERVER_BIN: named, PATH: `${join(folder, 'path')}:/usr/bin:/bin`, XDG_CACHE_HOME: join(folder, 'cache') })
  t.same(await findLiveKit(), { binary: named, version: '1.2.3', from: 'LIVEKIT_SERVER_BIN' })
  delete process.env.LIVEKIT_SERVER_BIN
  t.same(await findLiveKit(), { binary: onPath, version: '1.2.4', from: 'PATH' })

  process.env.PATH = `${join(folder, 'go')}:/usr/bin:/bin`
  await t.rejects(findLiveKit(), /install Go .*livekit-server on PATH.*LIVEKIT_SERVER_BIN/, 'says what to do without Go')

  await program(go, 'echo "go: it does not work" >&2; exit 1')
  await t.rejects(findLiveKit(), /failed with code 1:\ngo: it does not work/)

  // A stand-in for go: the real build takes minutes. It answers for the arguments and the environment it is given.
  await program(go, `[ "$GOTOOLCHAIN $*" = "local install -v github.com/livekit/livekit-server/cmd/server@v${LIVEKIT_VERSION}" ] || exit 2
    echo >> ${join(folder, 'builds')}; sleep 1; printf '#!/bin/sh\\necho livekit-server version ${LIVEKIT_VERSION}\\n' > $GOBIN/server; chmod +x $GOBIN/server`)
  const lines: string[] = []
  const both = await Promise.all([findLiveKit(), sleep(200).then(() => findLiveKit({ log: (line) => lines.push(line) }))])
  t.same(both, [{ binary: cached, version: LIVEKIT_VERSION, from: 'build' }, { binary: cached, version: LIVEKIT_VERSION, from: 'build' }])
  t.match(lines, [/another process is building/])
  t.equal(readFileSync(join(folder, 'builds'), 'utf8'), '\n', 'built once for two at the same time')
  t.same(await findLiveKit(), { binary: cached, version: LIVEKIT_VERSION, from: 'cache' })

  process.env.LIVEKIT_SERVER_BIN = join(folder, 'absent')
  await t.rejects(findLiveKit(), /absent does not run/, 'a server that was named is never passed over')
})

async function program (path: string, script: string): Promise<string> {
  await mkdir(join(path, '..'), { recursive: true })
  await writeFile(path, `#!/bin/sh\n${script}\n`)
  await chmod(path, 0o755)
  return path
}

function environment (t: Test, values: Record<string, string>): void {
  const before = { ...process.env }
  Object.assign(process.env, values)
  t.teardown(() => {
    for (const name of ['LIVEKIT_SERVER_BIN', ...Object.keys(values)]) {
      if (before[name] === undefined) delete process.env[name]
      else process.env[name] = before[name]
    }
  })
}

function isAlive (pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
