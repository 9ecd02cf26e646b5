// How lines of a transcript reach the service: while it is away, when it refuses them, and at the end of the call.
import type { voice } from '@livekit/agents'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Call } from '../src/call.ts'
import type { Logger } from '../src/log.ts'
import { openTranscript, writeDown, type Line } from '../src/transcript.ts'
import { until } from './support/processes.ts'

/** The service's side, with answers that a test gives. */
async function startReceiver (t: { after (work: () => void): void }, answer: (n: number) => number | undefined) {
  const bodies: Array<{ writer: string, lines: Line[], done?: boolean }> = []
  const server: Server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    bodies.push(JSON.parse(text))
    const status = answer(bodies.length)
    if (status) response.writeHead(status).end('{}')
    else response.destroy()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  const warnings: object[] = []
  const log = { warn: (fields: object) => warnings.push(fields) } as unknown as Logger
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { bodies, warnings, url, log, open: () => openTranscript({ url: new URL(url), token: 'token' }, log) }
}

test('a service that is away for a moment gets every line, the latest of each, in order', async (t) => {
  const { bodies, warnings, open } = await startReceiver(t, (n) => n === 1 ? 200 : n === 2 ? undefined : n === 3 ? 503 : 200)
  const transcript = open()
  const line = transcript.begin('agent', 'One.')
  line.set('One. Two.')
  line.set('One. Two.')
  for (let n = 0; n < 20; n++) transcript.begin('user', `line ${n}`)
  await until('the first try has failed', () => bodies.length === 2)
  line.set('One. Two. Three.')
  await transcript.close()
  const taken = bodies.slice(3).flatMap(({ lines }) => lines)
  assert.deepEqual(taken.filter(({ seq }) => seq === 1).at(-1)?.text, 'One. Two. Three.')
  assert.deepEqual(new Set(taken.map(({ seq }) => seq)), new Set(Array.from({ length: 21 }, (_, n) => n + 1)))
  assert.equal(new Set(taken.map(({ seq, revision }) => `${seq}.${revision}`)).size, taken.length, 'nothing that it has is sent again')
  assert.ok(bodies.every(({ lines }) => lines.length <= 8))
  assert.deepEqual(bodies.map(({ done }) => done ?? false), [...bodies.slice(1).map(() => false), true])
  assert.equal(new Set(bodies.map(({ writer }) => writer)).size, 1)
  assert.equal(warnings.length, 1)
})

test('a transcript that is over is left alone', async (t) => {
  const { bodies, warnings, open } = await startReceiver(t, (n) => n === 1 ? 200 : 409)
  const transcript = open()
  transcript.begin('user', 'too late')
  await until('it was refused', () => warnings.length === 1)
  transcript.begin('user', 'more')
  await transcript.close()
  assert.equal(bodies.length, 2)
  assert.deepEqual(warnings, [{ status: 409, what: 'transcript' }])
})

test('a service that is away for good holds up the end of a call for 5 s, and no more', async (t) => {
  const { open } = await startReceiver(t, () => undefined)
  const transcript = open()
  transcript.begin('user', 'lost')
  assert.equal(await Promise.race([transcript.close().then(() => 'closed'), sleep(8000).then(() => 'waits')]), 'closed')
})

test('the summary is the last line, before the word that nothing more comes; without one there is none', async (t) => {
  for (const summary of ['About the weather.', undefined]) {
    const { bodies, url, log } = await startReceiver(t, () => 200)
    const atEnd: Array<() => Promise<void>> = []
    const call = { ctx: { addShutdownCallback: (work: () => Promise<void>) => atEnd.push(work) }, metadata: { session_id: 'one', transcript: true, service: { url, token: 'token' } }, log } as unknown as Call
    const session = { on () {}, output: {} } as unknown as voice.AgentSession
    writeDown(call, session, async () => summary)()
    for (const work of atEnd) await work()
    assert.deepEqual(bodies.flatMap(({ lines }) => lines).map(({ by, text }) => `${by}: ${text}`), summary ? ['summary: About the weather.'] : [])
    assert.equal(bodies.at(-1)!.done, true)
  }
})
