// A program that cannot outlive us, however we end.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'

/**
 * A shell beside the program waits for our end of a pipe, and when that closes without a word it kills the program and removes its
 * folder. That also works when we are killed ourselves. It has a session of its own, so that Ctrl-C reaches us alone and we stop things in order.
 */
export function guard (child: ChildProcess, folder: string): void {
  const script = 'read -r word || { kill -9 "$1"; rm -rf "$2"; }'
  const shell = spawn('sh', ['-c', script, 'sh', String(child.pid), folder], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  shell.once('error', () => {})
  shell.stdin.once('error', () => {})
  shell.unref()
  once(child, 'exit').then(() => shell.stdin.end('over\n'))
}
