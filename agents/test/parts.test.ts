// The small parts: levels, the watch over the avatar, the output that changes its destination, the log without personal fields.
import { log as frameworkLog, voice } from '@livekit/agents'
import { AudioFrame } from '@livekit/rtc-node'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { levelOf } from '../src/audio.ts'
import { createAvatarWatch } from '../src/avatar-watch.ts'
import { createLogger, reasonOf } from '../src/log.ts'
import { TooLargeError } from '../src/mcp/guards.ts'
import { createMetrics } from '../src/metrics.ts'
import { removeGhost, type RoomApi } from '../src/rooms.ts'
import { silenceHost } from '../src/silence-host.ts'
import { SpeechOutput } from '../src/speech-output.ts'
import { wav, wordErrors, words } from './support/speech.ts'

test('levels are dBFS', () => {
  assert.equal(levelOf(new Int16Array(480)), -Infinity)
  assert.equal(levelOf(new Int16Array(0)), -Infinity)
  assert.equal(levelOf(new Int16Array(480).fill(-32_768)), 0)
  assert.equal(Math.round(levelOf(new Int16Array(480).fill(3277))), -20)
  const sine = Int16Array.from({ length: 4800 }, (_, i) => Math.sin(i / 10) * 32_767)
  assert.equal(Math.round(levelOf(sine)), -3)
})

test('WAV files say what they hold', () => {
  const file = wav(Int16Array.of(1, -1), 24_000)
  assert.equal(file.length, 48)
  assert.deepEqual([file.toString('latin1', 0, 4), file.toString('latin1', 8, 12), file.readUInt32LE(24), file.readInt16LE(46)], ['RIFF', 'WAVE', 24_000, -1])
})

test('word errors count changes, gaps and additions', () => {
  assert.deepEqual(words('Hello, World!'), ['hello', 'world'])
  assert.equal(wordErrors('a b c d', 'a b c d'), 0)
  assert.equal(wordErrors('a b c d', 'a x c'), 2)
  assert.equal(wordErrors('a', 'a b'), 1)
})

test('an avatar is dead when speech was sent and nothing is heard', () => {
  let now = 0
  let deaths = 0
  const watch = createAvatarWatch({ limit: 1000, onDead: () => deaths++, now: () => now })
  const after = (ms: number) => {
    now += ms
    watch.check()
    return deaths
  }
  assert.equal(after(5000), 0, 'silent, but nothing was sent')
  watch.playing()
  assert.equal(after(900), 0)
  watch.heard()
  assert.equal(after(900), 0, 'heard meanwhile')
  watch.finished()
  assert.equal(after(5000), 0, 'has finished')
  watch.heard()
  assert.equal(after(5000), 0, 'noise of its own')
  watch.playing()
  assert.equal(after(1000), 1)
  assert.equal(after(5000), 1, 'told once')
})

class Destination extends voice.AudioOutput {
  frames = 0
  cleared = 0
  hanging = false
  constructor () { super(24_000) }
  override async captureFrame (frame: AudioFrame) {
    await super.captureFrame(frame)
    this.frames++
    if (this.hanging) await new Promise(() => {})
  }

  override clearBuffer () { this.cleared++ }
}
createLogger('silent', {})
const frame = () => new AudioFrame(new Int16Array(240), 24_000, 1, 240)

test('speech can change its destination in mid-sentence, and nobody waits for the old one', async () => {
  const [first, second] = [new Destination(), new Destination()]
  const seen: string[] = []
  const output = new SpeechOutput(first, { onPlaying: () => seen.push('playing'), onFinished: () => seen.push('finished') })
  await output.captureFrame(frame())
  output.flush()
  first.onPlaybackFinished({ playbackPosition: 0.01, interrupted: false })
  assert.deepEqual(await output.waitForPlayout(), { playbackPosition: 0.01, interrupted: false })

  first.hanging = true
  const stuck = output.captureFrame(frame())
  const played = output.waitForPlayout()
  await new Promise((resolve) => setImmediate(resolve))
  output.replace(second)
  await stuck
  assert.equal((await played).interrupted, true)
  first.onPlaybackFinished({ playbackPosition: 1, interrupted: false })

  await output.captureFrame(frame())
  output.flush()
  output.clearBuffer()
  assert.deepEqual([first.cleared, second.cleared, second.frames], [0, 1, 1])
  second.onPlaybackFinished({ playbackPosition: 0, interrupted: true })
  assert.equal((await output.waitForPlayout()).interrupted, true)
  assert.deepEqual(seen, ['playing', 'finished', 'playing', 'finished', 'playing', 'finished'])
})

test('the framework may warn, but neither say what people said nor report how every call ends', () => {
  const lines: string[] = []
  const destination = { write: (line: string) => lines.push(line) }
  const own = createLogger('info', { agent: 'voice' }, destination)
  frameworkLog().info({ text: 1 }, 'chatter')
  frameworkLog().warn({ 'lk.pii.user_input': 'SECRET', speech_id: 1 }, 'skipped')
  frameworkLog().child({ 'lk.pii.room_name': 'SECRET' }).error({ error: new DOMException('x', 'AbortError') }, 'aborted')
  own.info({ 'lk.pii.transcript': 'SECRET', count: 1 }, 'ours')
  frameworkLog().error({ error: 'SECRET of a tool' }, 'exception occurred while executing tool')
  frameworkLog().error({ type: 'tts_error', error: Object.assign(new TypeError('SECRET of a server'), { status: 422 }) }, 'closing')
  frameworkLog().error(new RangeError('SECRET'), 'thrown')
  frameworkLog().child({ error: new RangeError('SECRET'), 'lk.pii.text': 'SECRET' }).child({ error: 'SECRET' }).warn('bound')
  own.error({ error: new Error('401 eyJhbGciOi.eyJzdWIi.SECRET-x refused') }, 'no')
  assert.deepEqual(lines.map((line) => JSON.parse(line).msg), ['skipped', 'ours', 'closing', 'thrown', 'bound', 'no'])
  assert.deepEqual(JSON.parse(lines[2]!).error, { type: 'TypeError', status: 422 })
  assert.equal(JSON.parse(lines[5]!).error.message, '401 [token] refused')
  assert.deepEqual(lines.filter((line) => line.includes('SECRET')), [])
  assert.equal(JSON.parse(lines[0]!).component, 'livekit-agents')

  createLogger('debug', {}, destination)
  frameworkLog().debug({ 'lk.pii.user_input': 'said' }, 'heard')
  assert.ok(lines.at(-1)!.includes('said'))
  createLogger('silent', {})
})

test('the reason of an error is its status, its code or its kind, of the cause where there is one, never its text', () => {
  const failed = (more: object, cause?: unknown) => Object.assign(new TypeError('SECRET', { cause }), more)
  for (const [error, reason] of [
    [failed({ status: 503 }), 'status 503'],
    [failed({ statusCode: 401, code: 'SECRET' }), 'status 401'],
    [failed({ status: -1 }, failed({ code: 'ECONNREFUSED' })), 'ECONNREFUSED'],
    [failed({}, failed({}, failed({ status: 500 }))), 'status 500'],
    [failed({ code: -32_601 }), '-32601'],
    [failed({}), 'TypeError'],
    [new DOMException('SECRET', 'TimeoutError'), 'TimeoutError'],
    [new TooLargeError(1), 'response too large'],
    ['SECRET', 'string'],
    [undefined, 'undefined'],
    [null, 'object']
  ] as const) assert.equal(reasonOf(error), reason)
})

test('the session host of the framework is replaced before it exists, or there is no call', () => {
  const session = new voice.AgentSession({ vad: null, turnHandling: { turnDetection: null } })
  silenceHost(session)
  const inside = session as unknown as { sessionHost: { registerSession (): void } }
  inside.sessionHost = { registerSession: () => assert.fail('was kept') }
  inside.sessionHost.registerSession()
  assert.throws(() => silenceHost({} as never), /sessionHost/)
})

test('a ghost goes with its avatar, the avatar first; a list that fails does not save it', async () => {
  const removed: string[] = []
  const rooms = (list: RoomApi['list']): RoomApi => ({ list, remove: async (_room, identity) => { removed.push(identity) }, deleteRoom: async () => {} })
  const participants = [{ identity: 'user', attributes: {} }, { identity: 'agent', attributes: {} }, { identity: 'face', attributes: { 'lk.publish_on_behalf': 'agent' } }]
  await removeGhost(rooms(async () => participants as never), 'room', 'agent')
  await removeGhost(rooms(async () => { throw new Error('down') }), 'room', 'agent')
  assert.deepEqual(removed, ['face', 'agent', 'agent'])
})

test('metrics have names Prometheus takes', async () => {
  const { registry, jobs } = createMetrics()
  jobs.inc({ outcome: 'accepted' })
  assert.match(await registry.metrics(), /^agents_jobs_total\{outcome="accepted"\} 1$/m)
})
