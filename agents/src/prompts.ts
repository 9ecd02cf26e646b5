// The instructions of the agents: one editable file per agent type, with the greeting in its head.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { AGENT_TYPES, type AgentType } from './metadata.ts'

/** Beside src/ and dist/, and so found from both. */
const FOLDER = join(import.meta.dirname, '../prompts')

const HEAD = ['greeting', 'apology', 'waiting', 'farewell', 'still_there', 'gone', 'language', 'voice', 'acknowledgements', 'press_keys', 'hand_over'] as const

export interface Prompt {
  instructions: string
  /** What the agent says first; empty: it waits to be spoken to. */
  greeting: string
  /** What it says when it could not hear or think; empty: nothing. */
  apology: string
  /** What it says when a tool takes long; empty: nothing. */
  waiting: string
  /** What it asks a user who keeps silent; empty: nothing. */
  still_there: string
  /** What it says before it hangs up because the user goes on keeping silent; empty: nothing. */
  gone: string
  /** The language of the conversation (BCP 47), and the speech server's voice for it; empty: those of the configuration. */
  language: string
  voice: string
  /** What it says before it hangs up because the session has used what it may; empty: nothing. */
  farewell: string
  /** What users say to show that they listen: it does not end what the agent says. */
  acknowledgements: string[]
  /** `on`: keys that a caller by telephone presses reach the model, which may press keys too; empty or `off`: neither. */
  press_keys: string
  /** Whom a call by telephone is handed over to when its user asks for a person: `tel:<number>` or `sip:<user>@<host>`; empty or `off`: nobody. */
  hand_over: string
}

/** What these two may be. */
const CHOICES: Array<['press_keys' | 'hand_over', RegExp, string]> = [
  ['press_keys', /^(on|off)?$/, 'on or off'],
  ['hand_over', /^(off|tel:\+?[0-9]{3,20}|sips?:[^\s@]+@[^\s@]+)?$/, 'tel:<number>, sip:<user>@<host> or off']
]

export interface PromptOptions {
  /** Instead of the package's own prompts/ (PROMPTS_DIR). */
  folder?: string
  /** The user's wish (BCP 47): voice/<language>/ has the prompts of another language. */
  language?: string
  /** The conversation is in writing: writing.md instead of shared.md's rules for the voice. */
  inWriting?: boolean
  /** A file is not right, and what it held before is used. */
  onBroken?: OnBroken
}

/** Reads the instructions of a voice agent, each time anew: what has changed holds from the next call on. */
export function voicePrompt (agentType: AgentType, { folder = FOLDER, language = '', inWriting = false, onBroken = () => {} }: PromptOptions = {}): Prompt {
  const base = join(folder, 'voice')
  // The language as it is wished for, or without its region; never anything but letters and digits, for it names a folder.
  const tags = /^[A-Za-z0-9-]+$/.test(language) ? [language.toLowerCase(), language.toLowerCase().split('-')[0]!] : []
  const wished = tags.find((tag) => existsSync(join(base, tag, `${agentType}.md`)))
  const place = wished ? join(base, wished) : base
  const shared = readPrompt(join(place, 'shared.md'), onBroken)
  const own = readPrompt(join(place, `${agentType}.md`), onBroken)
  const rules = inWriting && existsSync(join(place, 'writing.md')) ? readPrompt(join(place, 'writing.md'), onBroken) : shared
  return {
    ...shared,
    greeting: own.greeting,
    language: own.language || shared.language || (wished ?? ''),
    voice: own.voice || shared.voice,
    press_keys: own.press_keys || shared.press_keys,
    hand_over: own.hand_over || shared.hand_over,
    instructions: `${own.instructions}\n\n${rules.instructions}`
  }
}

/** Reads what the avatar is told when its counselor category has no prompt. The greeting is an instruction: the model words it. */
export function avatarPrompt (folder = FOLDER, onBroken: OnBroken = () => {}): Prompt {
  return readPrompt(join(folder, 'avatar', 'default.md'), onBroken)
}

/** A head between two lines of three dashes, a line for each thing to be said (`greeting: ...`), then the instructions. The head may be missing. */
export function parsePrompt (text: string): Prompt {
  // A word in the head that is none of these is a mistake that nobody would notice otherwise.
  const [, head = '', body = ''] = /^(?:---\n([^]*?)\n---\n)?([^]*)$/.exec(text.replaceAll('\r\n', '\n')) ?? []
  const said = (what: string) => new RegExp(`^${what}:(.*)$`, 'm').exec(head)?.[1]?.trim() ?? ''
  const unknown = head.split('\n').find((line) => line.trim() !== '' && !HEAD.some((what) => line.startsWith(`${what}:`)))
  if (unknown !== undefined) throw new Error(`the head has "${unknown.split(':')[0]}", may have ${HEAD.join(', ')}`)
  for (const [what, allowed, how] of CHOICES) if (!allowed.test(said(what))) throw new Error(`${what} must be ${how}`)
  return {
    ...Object.fromEntries(HEAD.map((what) => [what, said(what)])) as Record<Exclude<typeof HEAD[number], 'acknowledgements'>, string>,
    acknowledgements: said('acknowledgements').split(',').map(lettersOf).filter(Boolean),
    instructions: body.trim()
  }
}

/** Whether a text is nothing but one of the acknowledgements, however often, and however it is written ("Mm-hmm.", "mhm mhm"). */
export function isListening (text: string, acknowledgements: string[]): boolean {
  const words = text.split(/[\s,.!?…]+/).map(lettersOf).filter(Boolean)
  return words.length > 0 && words.every((word) => acknowledgements.includes(word))
}

function lettersOf (text: string): string {
  return text.toLowerCase().replace(/[^\p{L}\p{M}]/gu, '')
}

/** The last of each file that was right: a file that is broken while calls go on costs a line in the log, not the calls. */
const lastGood = new Map<string, Prompt>()

/** @param onBroken told when the file is not right, and what it held before is given. @throws when there is nothing from before */
function readPrompt (file: string, onBroken: OnBroken): Prompt {
  try {
    const prompt = parsePrompt(readFileSync(file, 'utf8'))
    if (prompt.instructions === '') throw new Error('no instructions')
    lastGood.set(file, prompt)
    return prompt
  } catch (error) {
    const wrong = new Error(`${file}: ${(error as Error).message}`)
    const before = lastGood.get(file)
    if (!before) throw wrong
    onBroken(wrong)
    return before
  }
}

type OnBroken = (error: Error) => void

/** Reads every file, and what is `needed` beside those that are there. @returns what is wrong, a line for each file */
export function readPrompts (folder = FOLDER, needed: string[] = []): string[] {
  const files = new Set<string>()
  for (const file of [...needed, ...readdirSync(folder, { recursive: true, encoding: 'utf8' })]) {
    if (!file.endsWith('.md')) continue
    files.add(file)
    if (file.startsWith('voice')) files.add(join(dirname(file), 'shared.md'))
  }
  const broken: string[] = []
  for (const file of files) {
    try {
      readPrompt(join(folder, file), ({ message }) => broken.push(message))
    } catch (error) {
      broken.push((error as Error).message)
    }
  }
  return broken
}

/** The files without which not every call of this agent could begin, but for the `shared.md` beside them. */
export const neededBy = (agent: 'voice' | 'avatar'): string[] =>
  agent === 'voice' ? AGENT_TYPES.map((type) => join('voice', `${type}.md`)) : [join('avatar', 'default.md')]

export type KeptPrompts = Array<[file: string, prompt: Prompt]>

/** Of the worker's main process: the last of each file that was right, for a process that is given a call, which may never have seen it. */
export function keptPrompts (folder?: string): KeptPrompts {
  try {
    readPrompts(folder)
  } catch {
    // No folder any more: what was in it is kept.
  }
  return [...lastGood]
}

/** Of that process: has them from now on. */
export function takeOver (kept: KeptPrompts): void {
  for (const [file, prompt] of kept) lastGood.set(file, prompt)
}
