// `npm run prove:flood`: a service that may open 300 descriptors, ten thousand connections, and clients that do not read their answers.
import { readdirSync } from 'node:fs'
import net from 'node:net'
import { request } from 'undici'
import { claim, neighbourhood, prove, seconds, sleep } from './proof.ts'

const FLOOD = 10_000
const DESCRIPTORS = 300

async function small () {
  const parts = await neighbourhood({ env: { LOG_LEVEL: 'warn' }, descriptors: DESCRIPTORS })
  const open = () => readdirSync(`/proc/${parts.service.pid}/fd`).length
  /** Another user's request on a connection of its own; how long it took, ms, or Infinity. */
  const served = async () => {
    const began = performance.now()
    for (let attempt = 0; attempt < 5; attempt++) {
      const status = await request(`${parts.service.url}/livez`, { reset: true, headersTimeout: 2000 }).then(async ({ statusCode, body }) => { await body.dump(); return statusCode }, () => undefined)
      if (status === 200) return performance.now() - began
    }
    return Infinity
  }
  return { ...parts, open, served }
}

await prove({
  async 'ten thousand silent connections' () {
    const { service, served, open, call } = await small()
    const sockets: net.Socket[] = []
    let most = 0
    const waits: number[] = []
    for (let n = 0; n < FLOOD; n++) {
      sockets.push(net.connect(service.port, '127.0.0.1').on('error', () => {}))
      if (n % 500 === 499) {
        most = Math.max(most, open())
        waits.push(await served())
      }
    }
    await sleep(500)
    waits.sort((a, b) => a - b)
    claim('the process lives', (await served()) < Infinity)
    claim('it stays below its descriptors', most < DESCRIPTORS, `${most} of ${DESCRIPTORS} at most`)
    claim('others are served meanwhile', waits.every((ms) => ms < Infinity), `20 requests, worst ${seconds(waits.at(-1)!)}`)
    claim('and start sessions', (await call('alice', 'POST', '/voice-sessions/start')).status === 200)
    for (const socket of sockets) socket.destroy()
  },
  async 'pipelined requests whose answers nobody reads' () {
    const { service, served, open } = await small()
    await served()
    const before = open()
    for (let round = 0; round < 50; round++) {
      const sockets = Array.from({ length: 10 }, () => net.connect(service.port, '127.0.0.1').on('error', () => {}).pause())
      for (const socket of sockets) socket.write('GET /api/docs/static/swagger-ui-bundle.js HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(20))
      await sleep(20)
      for (const socket of sockets) socket.destroy()
    }
    await sleep(1000)
    if (await served() === Infinity) console.log(service.log().slice(-3000))
    claim('500 connections, 10,000 requests: the process lives', (await served()) < Infinity)
    claim('nothing stays open', open() <= before + 5, `${before} before, ${open()} after`)
  }
})
