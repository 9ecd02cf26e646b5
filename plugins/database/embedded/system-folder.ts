// The place outside of root's home for what the user that runs PostgreSQL has to reach: only root writes there, and everybody may pass through.
import { chmod, mkdir } from 'node:fs/promises'
import { isOurs } from './account.ts'

const folder = '/var/lib/livekit-sessions'

/** Makes it when it is not there. @throws when others could write into it */
export async function systemFolder (): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o755 })
  if (!await isOurs(folder)) throw new Error(`${folder} has to belong to root, and no other user may write into it`)
  await chmod(folder, 0o755) // whatever the umask took away
  return folder
}
