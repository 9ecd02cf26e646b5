// What a process holds at a moment, as the kernel tells (Linux only): memory, CPU, descriptors, threads.
import { readdirSync, readFileSync } from 'node:fs'

/** Memory in MB (RSS), CPU in ms since its start. */
export interface Holding { memory: number, cpu: number, descriptors: number, threads: number }

const TICK = 10 // ms, as Linux has it on every architecture that Node runs on

/** The fields of /proc/PID/stat after the name of the program, from the third one on: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
const statOf = (pid: number) => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ').map(Number)

/** CPU time that a process has taken, ms; 0 when it has gone, and where there is no /proc. */
export function cpuOf (pid: number): number {
  try {
    const fields = statOf(pid)
    return (fields[11]! + fields[12]!) * TICK
  } catch {
    return 0
  }
}

/** What the process and its children hold together; all zero when it has gone. */
export function holdingOf (pid: number): Holding {
  const sum: Holding = { memory: 0, cpu: 0, descriptors: 0, threads: 0 }
  for (const one of [pid, ...childrenOf(pid)]) {
    sum.cpu += cpuOf(one)
    try {
      sum.threads += statOf(one)[17]!
      sum.memory += Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${one}/status`, 'utf8'))?.[1] ?? 0) / 1024
      sum.descriptors += readdirSync(`/proc/${one}/fd`).length
    } catch {} // it has ended
  }
  return sum
}

/** The processes that a process has started and that live. */
export function childrenOf (pid: number): number[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((child) => {
    try { return statOf(child)[1] === pid } catch { return false }
  })
}
