// Somebody on a call, in a container of its own beside the stack: signalling goes through Caddy's 443, with its certificate checked.
// It is the language model, too, which a deployment takes from elsewhere. Prints one line of JSON: what it saw.
import { call } from '../support/caller.ts'
import { startLanguageModel, type Script } from '../support/language-model.ts'
import { until } from '../support/processes.ts'
import { recognise, speak } from '../support/speech.ts'

const { DOMAIN = '', TOKEN = '', STT_API_KEY = '', TTS_API_KEY = '' } = process.env

const script: Script = (_request, { role, text }) => {
  if (role === 'tool') return { text }
  if (/mass/i.test(text)) return { tool: 'body_mass_index', args: { height_cm: 180, weight_kg: 75 } }
  return { text: 'I am listening.' }
}

/** A whole spoken conversation. */
async function conversation () {
  const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' }
  const ask = async (method: string, path: string, body?: object) => {
    const response = await fetch(`https://${DOMAIN}/api/v1${path}`, { method, headers: body ? headers : { authorization: headers.authorization }, body: body && JSON.stringify(body) })
    return { status: response.status, body: await response.json() as Record<string, any> }
  }
  const began = performance.now()
  const { status, body } = await ask('POST', '/voice-sessions/start', { agent_type: 'workout' })
  if (status !== 200) throw new Error(`start: ${status} ${JSON.stringify(body)}`)
  const caller = await call({ url: body.livekit_url } as never, body.room_name, 'proof', undefined, body.token)
  const greeting = await caller.hears(began, 30_000)
  await caller.hearsSilence(greeting)
  const { endedAt } = await caller.say(await speak('http://tts:8001', TTS_API_KEY, 'Please tell me my body mass index.'))
  const sound = await caller.hears(endedAt)
  const end = await caller.hearsSilence(sound, 900)
  const answer = await recognise('http://whisper:8000', STT_API_KEY, caller.recording(sound - 100, end + 300), 24_000)
  const seen = await ask('GET', `/voice-sessions/${body.room_name}/status`)
  const ended = await ask('DELETE', `/voice-sessions/${body.room_name}`)
  await until('the call is over', () => !caller.room.isConnected, 10_000)
  const after = await ask('GET', `/voice-sessions/${body.room_name}/status`)
  caller.leave().catch(() => {})
  return { url: body.livekit_url, toGreeting: greeting - began, toAnswer: sound - endedAt, answer, status: seen.body, ended: ended.status, after: after.status }
}

const model = await startLanguageModel(script, { host: '0.0.0.0', port: 9000 })
console.log(JSON.stringify(await conversation()))
model.stop()
process.exit(0)
