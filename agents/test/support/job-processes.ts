// The processes of a running worker, weighed.
import { readFileSync, readdirSync } from 'node:fs'

export interface Process { pid: number, kind: 'main' | 'job' | 'inference', rssMb: number, pssMb: number }

/** The worker's process and its children, read from /proc. */
export function processesOf (main: number): Process[] {
  const children = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => parentOf(pid) === main)
  return [main, ...children].flatMap((pid) => {
    const command = read(pid, 'cmdline')
    const kind = pid === main ? 'main' : command.includes('job_proc') ? 'job' : command.includes('inference_proc') ? 'inference' : undefined
    if (!kind) return []
    const memory = (name: string) => Math.round(Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(read(pid, 'smaps_rollup'))?.[1] ?? 0) / 1024)
    return [{ pid, kind, rssMb: memory('Rss'), pssMb: memory('Pss') }]
  })
}

function read (pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return ''
  }
}

function parentOf (pid: number): number {
  return Number(/^\d+ \(.*\) \S (\d+)/s.exec(read(pid, 'stat'))?.[1])
}
