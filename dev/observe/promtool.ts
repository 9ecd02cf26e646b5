// Prometheus' own checks (promtool), where Prometheus is installed.
import { spawn } from 'node:child_process'
import { once } from 'node:events'

/** Runs a program with `input` and resolves with its exit code and all that it printed. */
export async function run (program: string, args: string[], { cwd, input = '' }: { cwd?: string, input?: string } = {}): Promise<{ code: number, printed: string }> {
  const child = spawn(program, args, { cwd, stdio: ['pipe', 'pipe', 'pipe'] })
  let printed = ''
  child.stdout.on('data', (chunk) => { printed += chunk })
  child.stderr.on('data', (chunk) => { printed += chunk })
  child.stdin.end(input)
  const [code] = await once(child, 'close') as [number]
  return { code, printed }
}
