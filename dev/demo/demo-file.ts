// What the running demo leaves for `npm run token`: its address and the secret of its users' tokens, where no other user of the machine comes.
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { isOurs } from '../../plugins/database/embedded/account.ts'

interface Demo { address: string, secret: string }

const folder = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'livekit-sessions', 'demo')
const file = join(folder, 'running.json')

/** @throws when other users could have put something in its place */
export async function leaveDemo (demo: Demo): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  if (!await isOurs(folder)) throw new Error(`${folder} has to belong to you, and no other user may write into it`)
  await writeFile(file, JSON.stringify(demo), { mode: 0o600 })
}

export async function findDemo (): Promise<Demo | undefined> {
  return JSON.parse(await readFile(file, 'utf8').catch(() => 'null')) ?? undefined
}

export async function removeDemo (): Promise<void> {
  await rm(file, { force: true })
}
