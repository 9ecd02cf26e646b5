// What the tests need and npm does not install: the LiveKit server and the Python environment of the speech servers.
// Before the test files, because those run side by side. Says what it does, for on first use it takes minutes.
import { findLiveKit } from '../../dev/livekit/livekit.ts'
import { pythonForSpeech } from './support/speech.ts'

const { binary, version } = await findLiveKit({ log: console.log })
console.log(`LiveKit ${version}: ${binary}`)
const python = await pythonForSpeech((folder) => console.log(`Installing speech recognition and synthesis into ${folder} (half a minute)`))
console.log(`Speech servers: ${python}`)
