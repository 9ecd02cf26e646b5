// The instructions of the agents: one editable file per agent type, with the greeting in its head.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AgentType } from './metadata.ts'

/** Beside src/ and dist/, and so found from both. */
const FOLDER = join(import.meta.dirname, '../prompts')

export interface Prompt {
  instructions: string
  /** What the agent says first; empty: it waits to be spoken to. */
  greeting: string
  /** What it says when it could not hear or think; empty: nothing. */
  apology: string
  /** What it says when a tool takes long; empty: nothing. */
  waiting: string
  /** What it says before it hangs up because the session has used what it may; empty: nothing. */
  farewell: string
}

/**
 * Reads the instructions of a voice agent.
 * @param folder instead of the package's own prompts/ (PROMPTS_DIR).
 */
export function voicePrompt (agentType: AgentType, folder = FOLDER): Prompt {
  const shared = readPrompt(join(folder, 'voice', 'shared.md'))
  const own = readPrompt(join(folder, 'voice', `${agentType}.md`))
  return { ...shared, greeting: own.greeting, instructions: `${own.instructions}\n\n${shared.instructions}` }
}

/** Reads what the avatar is told when its counselor category has no prompt. The greeting is an instruction: the model words it. */
export function avatarPrompt (folder = FOLDER): Prompt {
  return readPrompt(join(folder, 'avatar', 'default.md'))
}

/** A head between two lines of three dashes, a line for each thing to be said (`greeting: ...`), then the instructions. The head may be missing. */
export function parsePrompt (text: string): Prompt {
  const [, head = '', body = ''] = /^(?:---\n([^]*?)\n---\n)?([^]*)$/.exec(text.replaceAll('\r\n', '\n')) ?? []
  const said = (what: string) => new RegExp(`^${what}:(.*)$`, 'm').exec(head)?.[1]?.trim() ?? ''
  return { greeting: said('greeting'), apology: said('apology'), waiting: said('waiting'), farewell: said('farewell'), instructions: body.trim() }
}

function readPrompt (file: string): Prompt {
  const prompt = parsePrompt(readFileSync(file, 'utf8'))
  if (prompt.instructions === '') throw new Error(`${file} holds no instructions`)
  return prompt
}
