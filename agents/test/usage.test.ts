// What a call used, as the service has it, is what the servers of speech and model were asked for, to the millisecond and token, and what the caller did, to the second.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { call } from './support/caller.ts'
import { until } from './support/processes.ts'
import { agentJoins } from './support/session.ts'
import { startWholeStage, type WholeStage } from './support/stage.ts'

/** Of the speech server's answers: 24 kHz, 16 bits, mono. What the plugin makes of one is whole frames of 100 ms (agents-plugin-openai 1.9.0, tts). */
const PCM_BYTES_PER_FRAME = 4800

/** Hands requests on, and counts the milliseconds of speech in what is sent or answered. */
async function startMeter (target: string, msOf: (sent: Buffer, answered: Buffer) => number) {
  const counted = { ms: 0 }
  const server = createServer(async (request, response) => {
    const sent = await bytesOf(request)
    const { host: _host, connection: _connection, 'transfer-encoding': _encoding, ...headers } = request.headers
    const answer = await fetch(`${new URL(target).origin}${request.url}`, { method: request.method, headers: headers as Record<string, string>, body: sent.length > 0 ? new Uint8Array(sent) : undefined })
    const answered = Buffer.from(await answer.arrayBuffer())
    if (answer.ok) counted.ms += msOf(sent, answered)
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' }).end(answered)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { counted, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, stop () { server.close(); server.closeAllConnections() } }
}

async function bytesOf (stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces = []
  for await (const piece of stream) pieces.push(piece)
  return Buffer.concat(pieces)
}

/** The WAV file in a form: its rate and what follows its header. */
function wavMs (form: Buffer): number {
  const at = form.indexOf('RIFF')
  return form.readUInt32LE(at + 40) / form.readUInt32LE(at + 28) * 1000
}

let stage: WholeStage
let recognised: Awaited<ReturnType<typeof startMeter>>
let spoken: Awaited<ReturnType<typeof startMeter>>
before(async () => {
  stage = await startWholeStage({
    async through (urls) {
      recognised = await startMeter(urls.STT_BASE_URL!, wavMs)
      spoken = await startMeter(urls.TTS_BASE_URL!, (_sent, answered) => 100 * Math.floor(answered.length / PCM_BYTES_PER_FRAME))
      return { ...urls, STT_BASE_URL: recognised.url, TTS_BASE_URL: spoken.url }
    }
  })
})
after(async () => {
  await stage?.stop()
  recognised?.stop()
  spoken?.stop()
})

test('a scripted call: seconds of connection and speech, tokens and tools', async () => {
  const { livekit, service, speech, model, mcp } = stage
  const session = await service.start('user-1')
  const agent = await agentJoins(livekit, session.roomName)
  const joining = performance.now()
  const caller = await call(livekit, session.roomName, 'user-1', undefined, session.token)
  const joined = performance.now()
  await caller.hearsSilence(await caller.hears(joined))
  const { endedAt } = await caller.say(await speech.speak('What is the weather in Paris today?'))
  await caller.hearsSilence(await caller.hears(endedAt))
  const soFar = await until('it is told while the call goes on', async () => {
    const usage = await service.usage('user-1')
    return usage.tool_calls === 1 && usage.input_tokens === model.tokens.input && usage
  }, 10_000)
  assert.equal(soFar.output_tokens, model.tokens.output)

  const ending = performance.now()
  await service.end('user-1', session.roomName)
  const left = performance.now()
  await caller.leave()
  const [day] = await until('it is counted', async () => {
    const days = await service.days('user-1')
    return days.length > 0 && days
  }, 10_000)
  const usage = await service.usage('user-1')
  assert.deepEqual([usage.input_tokens, usage.output_tokens, usage.tool_calls], [model.tokens.input, model.tokens.output, mcp.calls.length])
  assert.ok(usage.input_tokens! > 0 && usage.output_tokens! > 0)
  near(usage.stt_seconds!, recognised.counted.ms / 1000, 0.01)
  near(usage.tts_seconds!, spoken.counted.ms / 1000, 0.01)
  // LiveKit tells of a leave in whole seconds, the fraction cut off.
  const isBetween = (seconds: number, least: number, most: number) => assert.ok(seconds > least - 1 && seconds <= most, `${seconds} is not from ${least} to ${most}, less a second`)
  isBetween(usage.user_seconds!, (ending - joined) / 1000, (left - joining) / 1000)
  isBetween(usage.agent_seconds!, (ending - joining) / 1000, (left - session.startedAt) / 1000)
  assert.deepEqual(usage.participants.map(({ identity, kind }) => `${kind} ${identity}`).sort(), [`AGENT ${agent.identity}`, 'STANDARD user-1'])
  const { participants: _participants, ...sums } = usage
  assert.deepEqual({ ...sums, sessions: 1 }, { ...Object.fromEntries(Object.entries(day!).filter(([name]) => name !== 'day' && name !== 'user_id')) })
  console.log(`usage ${JSON.stringify(usage)}; the caller was connected ${((left - joined) / 1000).toFixed(2)} s, ${(recognised.counted.ms / 1000).toFixed(2)} s were recognised, ${(spoken.counted.ms / 1000).toFixed(2)} s spoken`)
})

test('an agent that is killed loses its last report at most; the next one adds', async () => {
  const { livekit, service, model, worker } = stage
  const before = { ...model.tokens }
  const session = await service.start('user-2')
  const first = await agentJoins(livekit, session.roomName)
  const joined = performance.now()
  const caller = await call(livekit, session.roomName, 'user-2', undefined, session.token)
  await caller.hearsSilence(await caller.hears(joined))
  const { endedAt } = await caller.say(await stage.speech.speak('What is the weather in Paris today?'))
  await caller.hearsSilence(await caller.hears(endedAt))
  const told = await until('it is told', async () => {
    const usage = await service.usage('user-2')
    return usage.input_tokens === model.tokens.input - before.input && usage
  }, 10_000)
  process.kill(worker.pidOf(), 'SIGKILL')
  const killed = performance.now()
  await until('the next agent is heard', () => caller.heard.find(({ from, level, at }) => from !== first.identity && level > -45 && at > killed), 8000)
  const more = await until('the next one tells of its greeting', async () => {
    const usage = await service.usage('user-2')
    return usage.tts_seconds! > told.tts_seconds! && usage
  }, 10_000)
  assert.deepEqual([more.input_tokens, more.tool_calls], [told.input_tokens, 1])
  assert.equal(more.participants.filter(({ kind }) => kind === 'AGENT').length, 2)
  await service.end('user-2', session.roomName)
  await caller.leave()
  assert.ok(!stage.worker.output().includes('eyJ') && !stage.service.log().includes('eyJ'), 'no token is in any log')
})

function near (one: number, other: number, by: number): void {
  assert.ok(Math.abs(one - other) <= by, `${one} is not ${other}`)
}
