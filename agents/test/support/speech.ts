// Real speech for the tests: the Whisper and the speech server of this package, in a Python environment kept in the cache.
import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { answers, freePort, start, until } from './processes.ts'

/** The folder of this package. */
export const FOLDER = join(import.meta.dirname, '../..')
const REQUIREMENTS = ['whisper/requirements.txt', 'tts/requirements.txt'].map((file) => join(FOLDER, file))
const run = promisify(execFile)

/** The Python of an environment with both requirement files installed; made on first use (half a minute), which `installing` is told. */
export async function pythonForSpeech (installing: (folder: string) => void = () => {}): Promise<string> {
  const hash = createHash('sha256')
  for (const file of REQUIREMENTS) hash.update(readFileSync(file))
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'livekit-sessions')
  const folder = join(cache, `speech-${hash.digest('hex').slice(0, 12)}`)
  const python = join(folder, 'bin/python')
  if (existsSync(python)) return python
  installing(folder)

  // Made beside its place and moved there when whole, so that a run that was cut off leaves nothing half-made.
  const making = `${folder}.${process.pid}`
  await mkdir(cache, { recursive: true })
  try {
    await run('python3', ['-m', 'venv', making])
    await run(join(making, 'bin/python'), ['-m', 'pip', 'install', '-q', '--disable-pip-version-check', '--require-hashes', ...REQUIREMENTS.flatMap((file) => ['-r', file])])
    await rename(making, folder)
  } finally {
    await rm(making, { recursive: true, force: true })
  }
  return python
}

/** Starts both servers; `whisperOptions` choose another model. */
export async function startSpeechServers (whisperOptions: string[] = []) {
  const python = await pythonForSpeech()
  const [sttPort, ttsPort] = [await freePort(), await freePort()]
  const keys = { STT_API_KEY: randomBytes(16).toString('hex'), TTS_API_KEY: randomBytes(16).toString('hex') }
  const env = { HF_HUB_OFFLINE: '1', ...keys }
  const whisper = start(python, ['whisper/server.py', '--port', String(sttPort), ...whisperOptions], { cwd: FOLDER, env })
  const tts = start(python, ['tts/server.py', '--port', String(ttsPort)], { cwd: FOLDER, env })
  const urls = { stt: `http://127.0.0.1:${sttPort}`, tts: `http://127.0.0.1:${ttsPort}` }
  await until(() => `the speech servers do not start:\n${whisper.output()}${tts.output()}`, async () =>
    (await answers(`${urls.stt}/health`)) && (await answers(`${urls.tts}/health`)), 60_000)
  return {
    urls,
    pids: { whisper: whisper.child.pid!, tts: tts.child.pid! },
    /** What the servers ask for. */
    keys,
    env: { STT_BASE_URL: `${urls.stt}/v1`, TTS_BASE_URL: `${urls.tts}/v1` },
    /** Speaks a text: samples at 24 kHz. */
    speak: (text: string) => speak(urls.tts, keys.TTS_API_KEY, text),
    /** Recognises samples, of 24 kHz when nothing else is said. */
    recognise: (samples: Int16Array, rate = 24_000) => recognise(urls.stt, keys.STT_API_KEY, samples, rate),
    output: () => whisper.output() + tts.output(),
    async stop () {
      await Promise.all([whisper.stop(5000), tts.stop(5000)])
    }
  }
}

export type SpeechServers = Awaited<ReturnType<typeof startSpeechServers>>

export const startSpeech = () => startSpeechServers()

export type Speech = Awaited<ReturnType<typeof startSpeech>>

/** Samples at 24 kHz of a text, from a speech server. */
export async function speak (url: string, key: string, text: string): Promise<Int16Array> {
  const response = await fetch(`${url}/v1/audio/speech`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'tts-1', voice: 'alloy', input: text, response_format: 'pcm' })
  })
  if (!response.ok) throw new Error(`speech server: ${response.status}`)
  return new Int16Array(await response.arrayBuffer())
}

export interface Sound { samples: Int16Array, rate: number }

/** What a program of the system says, flite or espeak-ng, as samples. */
export async function spokenBy (program: string, args: string[], text: string): Promise<Sound> {
  // flite opens its output by name, which it can with a pipe, not with the socket that Node gives it.
  const command = program === 'flite' ? ['sh', '-c', 'flite "$@" -o /dev/stdout | cat', 'sh', ...args, '-t', text] : [program, ...args, '--stdout', text]
  const { stdout } = await run(command[0]!, command.slice(1), { encoding: 'buffer', maxBuffer: 64 * 1024 * 1024 })
  const begin = stdout.indexOf('data') + 8
  return { rate: stdout.readUInt32LE(24), samples: new Int16Array(new Uint8Array(stdout.subarray(begin, begin + ((stdout.length - begin) & ~1))).buffer) }
}

/** The same at the rate of a call. */
export async function spokenAt (rate: number, program: string, args: string[], text: string): Promise<Int16Array> {
  const sound = await spokenBy(program, args, text)
  return resampled(sound.samples, sound.rate, rate)
}

/** The text of samples, from a Whisper server. */
export async function recognise (url: string, key: string, samples: Int16Array, rate: number): Promise<string> {
  const form = new FormData()
  form.set('model', 'whisper-1')
  form.set('file', new Blob([wav(samples, rate)]), 'audio.wav')
  const response = await fetch(`${url}/v1/audio/transcriptions`, { method: 'POST', headers: { authorization: `Bearer ${key}` }, body: form })
  if (!response.ok) throw new Error(`Whisper server: ${response.status} ${await response.text()}`)
  return ((await response.json()) as { text: string }).text
}

/** Samples as a mono WAV file of 16 bits. */
export function wav (samples: Int16Array, rate: number): Buffer<ArrayBuffer> {
  const header = Buffer.alloc(44)
  const bytes = samples.byteLength
  header.write('RIFF', 0)
  header.writeUInt32LE(36 + bytes, 4)
  header.write('WAVEfmt ', 8)
  header.writeUInt32LE(16, 16)
  header.writeUInt16LE(1, 20)
  header.writeUInt16LE(1, 22)
  header.writeUInt32LE(rate, 24)
  header.writeUInt32LE(rate * 2, 28)
  header.writeUInt16LE(2, 32)
  header.writeUInt16LE(16, 34)
  header.write('data', 36)
  header.writeUInt32LE(bytes, 40)
  return Buffer.concat([header, Buffer.from(samples.buffer, samples.byteOffset, bytes)])
}

/** Samples at another rate, between two of them on the straight line. */
export function resampled (samples: Int16Array, from: number, to: number): Int16Array {
  return Int16Array.from({ length: Math.floor(samples.length * to / from) }, (_, i) => {
    const place = i * from / to
    const [before, after] = [samples[Math.floor(place)]!, samples[Math.ceil(place)] ?? 0]
    return before + (after - before) * (place % 1)
  })
}

/** Samples with white noise on them, the same on every run; `level` is its deviation, 1 being full scale. */
export function noisy (samples: Int16Array, level: number): Int16Array {
  let seed = 1
  const random = () => {
    // The generator of Numerical Recipes.
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
    return (seed + 1) / 2 ** 32
  }
  return samples.map((sample) => {
    const normal = Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random())
    return Math.max(-32_768, Math.min(32_767, sample + normal * level * 32_767))
  })
}

/** Lower-case words of a text, digits spelled as the recogniser might write them. */
export function words (text: string): string[] {
  return text.toLowerCase().replace(/[^a-z0-9' ]/g, ' ').split(/\s+/).filter(Boolean)
}

/** Words that have to be changed, left out or put in to get from one text to the other. */
export function wordErrors (reference: string, heard: string): number {
  const [a, b] = [words(reference), words(heard)]
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (const [i, word] of a.entries()) {
    const next = [i + 1]
    for (const [j, other] of b.entries()) next.push(Math.min(row[j + 1]! + 1, next[j]! + 1, row[j]! + (word === other ? 0 : 1)))
    row = next
  }
  return row[b.length]!
}
