// The process: it starts from the built files, stops without failing anybody, and frees everything.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { Agent, request } from 'undici'
import t from 'tap'
import { signUserToken } from '../dev/demo/token.ts'
import { startFaultProxy } from '../dev/faults/fault-proxy.ts'
import { startService } from '../dev/prove/service.ts'
import { databaseFor, eventually, jwtSecret, livekitFor, queryFor } from './helper.ts'

t.test('SIGTERM under load: readiness says no first, nothing in flight fails, exit 0 within 10 s', async (t) => {
  const livekit = await livekitFor(t)
  const service = await startService({
    LIVEKIT_URL: livekit.url,
    LIVEKIT_API_KEY: livekit.apiKey,
    LIVEKIT_API_SECRET: livekit.apiSecret,
    JWT_SECRET: jwtSecret,
    DATABASE_URL: await databaseFor(t),
    RATE_LIMIT_PER_MINUTE: '0',
    START_LIMIT_PER_MINUTE: '0'
  })
  const dispatcher = new Agent({ connections: 8 })
  t.teardown(() => dispatcher.close())
  const answers: Record<string, number> = {}
  const balancer = { told: false } // by the readiness probe
  const caller = async (n: number) => {
    const headers = { authorization: `Bearer ${signUserToken(jwtSecret, { sub: `user${n}` })}` }
    while (!balancer.told) {
      try {
        const { statusCode, body } = await request(`${service.url}/api/v1/voice-sessions/active`, { dispatcher, headers })
        await body.dump()
        answers[statusCode] = (answers[statusCode] ?? 0) + 1
      } catch (error) {
        const { code } = error as { code?: string }
        answers[String(code)] = (answers[String(code)] ?? 0) + 1
      }
    }
  }
  const callers = Array.from({ length: 8 }, (_, n) => caller(n))
  await new Promise((resolve) => { setTimeout(resolve, 500) })
  const began = performance.now()
  const stopped = service.stop()
  await new Promise((resolve) => { setTimeout(resolve, 300) })
  const readiness = await fetch(`${service.url}/readyz`)
  t.equal(readiness.status, 503)
  t.match(await readiness.json(), { status: 'draining' })
  const last = await fetch(`${service.url}/livez`)
  t.equal(last.headers.get('connection'), 'close', 'kept connections are let go, so that none is cut off later')
  balancer.told = true
  t.equal((await fetch(`${service.url}/livez`)).status, 200)
  t.equal(await stopped, 0)
  t.ok(performance.now() - began < 10_000)
  await Promise.all(callers)
  t.same(Object.keys(answers), ['200'], JSON.stringify(answers))
})

t.test('SIGTERM while LiveKit and its egress do not answer: exit 0, what was being asked is left to whoever comes next', async (t) => {
  const livekit = await livekitFor(t)
  const proxy = await startFaultProxy({ target: { host: '127.0.0.1', port: livekit.port } })
  t.teardown(() => proxy.stop())
  const databaseUrl = await databaseFor(t)
  const query = await queryFor(t, databaseUrl)
  const service = await startService({
    LIVEKIT_URL: livekit.url,
    LIVEKIT_API_URL: proxy.url,
    LIVEKIT_API_KEY: livekit.apiKey,
    LIVEKIT_API_SECRET: livekit.apiSecret,
    JWT_SECRET: jwtSecret,
    DATABASE_URL: databaseUrl,
    RECORDINGS: 'on',
    S3_ENDPOINT: 'http://127.0.0.1:1',
    S3_BUCKET: 'calls',
    S3_ACCESS_KEY: 'recorder',
    S3_SECRET_KEY: '8d2f60b17ae94c35'
  })
  await proxy.fault('hang', /StartRoomCompositeEgress|DeleteRoom/)
  const headers = { authorization: `Bearer ${signUserToken(jwtSecret, { sub: 'alice' })}`, 'content-type': 'application/json' }
  await fetch(`${service.url}/api/v1/voice-sessions/start`, { method: 'POST', headers, body: '{"recording":true}' })
  await eventually(() => proxy.hits() === 1)
  await query('update sessions set expires_at = now(), next_check_at = now()')
  await eventually(() => proxy.hits() === 2)
  t.equal(await service.stop(), 0)
  t.same(await query('select state, recording, recording_asks from sessions'), [{ state: 'ending', recording: 'pending', recording_asks: 1 }])
  t.notMatch(service.log(), /"level":50/)
})

t.test('SIGTERM while it boots: it ends', async (t) => {
  const silent = createServer().listen(0, '127.0.0.1') // a database that says nothing
  t.teardown(() => silent.close())
  await once(silent, 'listening')
  const service = spawn(process.execPath, ['--import=tsx', 'src/server.ts'], {
    env: { PATH: process.env.PATH, LIVEKIT_URL: 'ws://127.0.0.1:1', LIVEKIT_API_KEY: 'key', LIVEKIT_API_SECRET: '7f2c19d0b8e64a35910cd7e2f6a8b34c', JWT_SECRET: jwtSecret, DATABASE_URL: `postgres://127.0.0.1:${(silent.address() as AddressInfo).port}/none` }
  })
  await once(silent, 'connection')
  service.kill('SIGTERM')
  t.same(await once(service, 'exit'), [0, null])
})
