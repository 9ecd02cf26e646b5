// What a process holds at a moment, as the kernel tells (Linux only): memory, CPU, descriptors, threads; and how such figures grow.
import { readdirSync, readFileSync } from 'node:fs'

/** Memory in MB (RSS), CPU in ms since its start. */
export interface Holding { memory: number, cpu: number, descriptors: number, threads: number }

const TICK = 10 // ms, as Linux has it on every architecture that Node runs on

/** What the process and its children hold together; all zero when it has gone. */
export function holdingOf (pid: number): Holding {
  const sum: Holding = { memory: 0, cpu: 0, descriptors: 0, threads: 0 }
  for (const one of [pid, ...childrenOf(pid)]) {
    try {
      const fields = readFileSync(`/proc/${one}/stat`, 'utf8').split(') ')[1]!.split(' ')
      sum.cpu += (Number(fields[11]) + Number(fields[12])) * TICK
      sum.threads += Number(fields[17])
      sum.memory += Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${one}/status`, 'utf8'))?.[1] ?? 0) / 1024
      sum.descriptors += readdirSync(`/proc/${one}/fd`).length
    } catch {} // it has ended
  }
  return sum
}

/** The processes that a process has started and that live. */
export function childrenOf (pid: number): number[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((child) => {
    try { return Number(readFileSync(`/proc/${child}/stat`, 'utf8').split(') ')[1]!.split(' ')[1]) === pid } catch { return false }
  })
}

/** By how much `y` grows with each unit of `x`, by least squares, and how sure that is: the standard error of it. */
export function slope (points: Array<{ x: number, y: number }>): { slope: number, error: number } {
  const n = points.length
  const meanX = points.reduce((sum, { x }) => sum + x, 0) / n
  const meanY = points.reduce((sum, { y }) => sum + y, 0) / n
  const spread = points.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0)
  const rise = points.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0) / spread
  const left = points.reduce((sum, { x, y }) => sum + (y - meanY - rise * (x - meanX)) ** 2, 0)
  return { slope: rise, error: Math.sqrt(left / (n - 2) / spread) }
}
