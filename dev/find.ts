// Programs of the machine, by their names.
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'

/** The path of a program on PATH; undefined when it is not installed. */
export async function find (program: string): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? '').split(delimiter).filter(Boolean)) {
    const path = join(folder, program)
    if (await isExecutable(path)) return path
  }
  return undefined
}

export async function isExecutable (path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(() => true, () => false)
}
