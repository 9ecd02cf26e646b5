// The speech servers' own tests of what they refuse, in their own language.
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { FOLDER, pythonForSpeech } from './support/speech.ts'

test('the speech servers ask for a token, and refuse what is too large or too long', async (t) => {
  const { stdout } = await promisify(execFile)(await pythonForSpeech(), ['-m', 'unittest', 'discover', 'speech'], { cwd: FOLDER })
  t.diagnostic(stdout.trim())
})
