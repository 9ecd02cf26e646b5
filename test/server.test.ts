// The process: it starts from the built files, stops without failing anybody, and frees everything.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { Agent, request } from 'undici'
import t from 'tap'
import { startService } from '../dev/prove/service.ts'
import { signUserToken } from '../dev/demo/token.ts'
import { databaseFor, jwtSecret, livekitFor } from './helper.ts'

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
