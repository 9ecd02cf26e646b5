// What the recogniser understands, by condition: one table, printed as Markdown. `npm run prove:hearing`.
// It takes flite and espeak-ng for accents, and root with iptables for lost packets; what is missing is said and left out.
// HEARING_MODELS names more models to compare: base=/folder,small=/folder (CTranslate2's format).
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { find } from '../../../dev/find.ts'
import { music, levelled, mixed, noise, noiseAt } from '../support/sounds.ts'
import { FOLDER, pythonForSpeech, recognise, resampled, speak, spokenBy, startSpeechServers, type Sound, type SpeechServers } from '../support/speech.ts'
import { wordsHeard, wordErrorsOf } from '../support/words.ts'

const RATE = 24_000

const SENTENCES = [
  'What is the weather in Paris today?',
  'Please plan three training sessions for next week, two for strength and one for running.',
  'How much protein should I eat after a long run in the morning?',
  'I slept badly last night and my left knee hurts when I climb the stairs.',
  'Remind me to drink water every two hours and to stretch before going to bed.',
  'Can you move my workout from Tuesday evening to Thursday morning?',
  'Yesterday I ran along the river for almost an hour and I felt strong.',
  'Which exercises are good for my back when I sit at a desk all day?'
]

const NUMBERS = [
  'My telephone number is five five five two three four seven.',
  'I weigh eighty two kilograms and I am forty one years old.',
  'I ran twelve kilometers in sixty five minutes.',
  'Set the alarm for six thirty and plan twenty five push ups.',
  'My heart rate was one hundred and forty.'
]

const NAMES = [
  'My name is Margaret Thompson and my coach is Robert Miller.',
  'Jennifer and Michael will join us in Chicago on Saturday.',
  'I live in Birmingham near the Washington Bridge.',
  'Please book me with Doctor Anderson in London.'
]

/** Voices by what one hears in them. */
const VOICES: Array<{ name: string, program?: 'flite' | 'espeak-ng', args?: string[] }> = [
  { name: 'American woman (hibari)' },
  { name: 'American woman (flite slt)', program: 'flite', args: ['-voice', 'slt'] },
  { name: 'American man (flite rms)', program: 'flite', args: ['-voice', 'rms'] },
  { name: 'Scottish man (flite awb)', program: 'flite', args: ['-voice', 'awb'] },
  { name: 'American, synthetic (espeak en-us)', program: 'espeak-ng', args: ['-v', 'en-us'] },
  { name: 'British, synthetic (espeak en-gb)', program: 'espeak-ng', args: ['-v', 'en-gb'] },
  { name: 'Scottish, synthetic (espeak en-gb-scotland)', program: 'espeak-ng', args: ['-v', 'en-gb-scotland'] },
  { name: 'Lancashire, synthetic (espeak en-gb-x-gbclan)', program: 'espeak-ng', args: ['-v', 'en-gb-x-gbclan'] },
  { name: 'Caribbean, synthetic (espeak en-029)', program: 'espeak-ng', args: ['-v', 'en-029'] }
]

interface Said extends Sound { text: string }
interface Condition { name: string, said: Said[] }

async function conditions (servers: SpeechServers): Promise<{ table: Condition[], nothing: Array<{ name: string } & Sound> }> {
  const say = (text: string) => speak(servers.urls.tts, servers.keys.TTS_API_KEY, text)
  const texts = async (list: string[], change: (samples: Int16Array, i: number) => Sound = (samples) => ({ samples, rate: RATE })): Promise<Said[]> => {
    const all: Said[] = []
    for (const [i, text] of list.entries()) all.push({ text, ...change(await say(text), i) })
    return all
  }
  const plain = (samples: Int16Array): Sound => ({ samples, rate: RATE })
  const table: Condition[] = []
  for (const { name, program, args = [] } of VOICES) {
    if (!program) table.push({ name, said: await texts(SENTENCES) })
    else if (await find(program)) table.push({ name, said: await Promise.all(SENTENCES.map(async (text) => ({ text, ...await spokenBy(program, args, text) }))) })
    else console.log(`${program} is not installed: "${name}" is left out`)
  }
  table.push({ name: 'numbers', said: await texts(NUMBERS) }, { name: 'names of people and places', said: await texts(NAMES) })
  for (const rate of [8_000, 16_000, 22_050, 44_100, 48_000]) {
    table.push({ name: `${rate / 1000} kHz`, said: await texts(SENTENCES, (samples) => ({ samples: resampled(samples, RATE, rate), rate })) })
  }
  for (const decibels of [30, 20, 10, 5, 0]) {
    table.push({ name: `white noise, ${decibels} dB below the voice`, said: await texts(SENTENCES, (samples) => plain(noiseAt(samples, -decibels))) })
  }
  const others = await Promise.all(SENTENCES.toReversed().map(say))
  for (const decibels of [20, 10, 5]) {
    table.push({ name: `a second speaker, ${decibels} dB below the first`, said: await texts(SENTENCES, (samples, i) => plain(mixed(samples, levelled(others[i]!, samples, -decibels)))) })
  }
  table.push({ name: 'a music behind the voice, 10 dB below it', said: await texts(SENTENCES, (samples) => plain(mixed(samples, levelled(music(RATE, samples.length / RATE), samples, -10)))) })
  for (const seconds of [2, 5]) {
    const pairs: Said[] = []
    for (let i = 0; i < SENTENCES.length; i += 2) {
      const [first, second] = [await say(SENTENCES[i]!), await say(SENTENCES[i + 1]!)]
      const samples = new Int16Array(first.length + seconds * RATE + second.length)
      samples.set(first)
      samples.set(second, first.length + seconds * RATE)
      pairs.push({ text: `${SENTENCES[i]} ${SENTENCES[i + 1]}`, samples, rate: RATE })
    }
    table.push({ name: `a pause of ${seconds} s in the middle`, said: pairs })
  }
  const random = noise(3)
  return {
    table,
    nothing: [
      { name: 'silence, 10 s', samples: new Int16Array(10 * RATE), rate: RATE },
      { name: 'music, 10 s', samples: music(RATE, 10), rate: RATE },
      { name: 'white noise, 10 s', samples: Int16Array.from({ length: 10 * RATE }, () => random() * 3000), rate: RATE },
      { name: 'hum of 50 Hz, 10 s', samples: Int16Array.from({ length: 10 * RATE }, (_, i) => 3000 * Math.sin(2 * Math.PI * 50 * i / RATE)), rate: RATE }
    ]
  }
}

/** WebRTC wants an interface beside the loopback, and a route. */
const NETWORK = 'ip link set lo up && ip link add v0 type veth peer name v1 && ip addr add 10.9.9.1/24 dev v0 && ip link set v0 up && ip link set v1 up && ip route add default via 10.9.9.2'

async function lossyCall (loss: number, task: object): Promise<number[][]> {
  const drop = loss > 0 ? ` && iptables -A INPUT -p udp -m statistic --mode random --probability ${loss / 100} -j DROP` : ''
  const child = spawn('unshare', ['--net', 'sh', '-c', `${NETWORK}${drop} && exec "$0" "$@"`, process.execPath, '--import', 'tsx', 'test/support/lossy-call.ts'], { cwd: FOLDER })
  const [output, errors] = [text(child.stdout), text(child.stderr)]
  child.stdin.end(JSON.stringify(task))
  const [code] = await once(child, 'exit')
  assert.equal(code, 0, await errors)
  return JSON.parse((await output).slice((await output).indexOf('[['))) as number[][]
}

/** A call with an audio codec and lost packets: what the other side of the room hears. In a network of its own, as root. */
async function overTheNetwork (servers: SpeechServers): Promise<Map<string, Said[]>> {
  const found = new Map<string, Said[]>()
  if (process.getuid?.() !== 0 || !await find('iptables')) {
    console.log('Not root, or no iptables: calls with lost packets are left out')
    return found
  }
  const said = await Promise.all(SENTENCES.map(async (text) => ({ text, samples: [...await speak(servers.urls.tts, servers.keys.TTS_API_KEY, text)] })))
  for (const loss of [0, 5, 10]) {
    const calls = await Promise.all(([['Opus', { red: false, dtx: false }], ['Opus with RED and DTX', { red: true, dtx: true }]] as const).map(async ([codec, options]) => {
      const heard = await lossyCall(loss, { options, said: said.map(({ samples }) => samples) })
      return [`${codec}, ${loss} % of packets lost on each way`, heard.map((samples, i) => ({ text: said[i]!.text, samples: Int16Array.from(samples), rate: RATE }))] as const
    }))
    for (const [name, sounds] of calls) found.set(name, sounds)
  }
  return found
}

test('what is understood, by condition', { timeout: 1_800_000 }, async () => {
  const models = [{ name: 'tiny.en', folder: undefined as string | undefined }, ...(process.env.HEARING_MODELS ?? '').split(',').filter(Boolean).map((pair) => ({ name: pair.split('=')[0]!, folder: pair.split('=')[1] }))]
  await pythonForSpeech()
  const columns = new Map<string, Map<string, { right: number, all: number }>>()
  const invented: string[] = []
  let table: Condition[] | undefined
  let nothing: Array<{ name: string } & Sound> = []
  for (const { name: model, folder } of models) {
    const servers = await startSpeechServers(folder ? ['--model', folder] : [])
    try {
      if (!table) {
        ({ table, nothing } = await conditions(servers))
        for (const [name, said] of await overTheNetwork(servers)) table.push({ name, said })
      }
      const results = new Map<string, { right: number, all: number }>()
      for (const { name, said } of table) {
        let [errors, all] = [0, 0]
        for (const { text: sentence, samples, rate } of said) {
          const heard = await recognise(servers.urls.stt, servers.keys.STT_API_KEY, samples, rate)
          const wrong = wordErrorsOf(sentence, heard)
          if (wrong > 0 && process.env.HEARING_VERBOSE) console.log(`${model}, ${name}: ${heard}`)
          errors += wrong
          all += wordsHeard(sentence).length
        }
        results.set(name, { right: Math.max(0, all - errors), all })
      }
      columns.set(model, results)
      for (const { name, samples, rate } of nothing) {
        const heard = await recognise(servers.urls.stt, servers.keys.STT_API_KEY, samples, rate)
        if (heard) invented.push(`${model}, ${name}: ${heard}`)
      }
    } finally {
      await servers.stop()
    }
  }
  console.log(`| condition | words | ${models.map(({ name }) => `${name}, % right`).join(' | ')} |\n|---|---|${models.map(() => '---|').join('')}`)
  for (const { name } of table!) {
    const cells = models.map(({ name: model }) => columns.get(model)!.get(name)!).map(({ right, all }) => (100 * right / all).toFixed(1))
    console.log(`| ${name} | ${columns.get('tiny.en')!.get(name)!.all} | ${cells.join(' | ')} |`)
  }
  for (const { name } of nothing) console.log(`| ${name} | 0 | ${models.map(({ name: model }) => invented.some((line) => line.startsWith(`${model}, ${name}`)) ? 'invents' : 'nothing').join(' | ')} |`)
  const clean = columns.get('tiny.en')!.get(VOICES[0]!.name)!
  assert.ok(clean.right / clean.all > 0.95, 'clean speech')
  assert.deepEqual(invented, [])
})
