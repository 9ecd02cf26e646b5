// A Redis for proofs, on a port of this machine. Takes redis-server.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { until } from './proof.ts'

/** Starts one and waits until it answers. @param folder where it keeps its data, as compose has it; none: it keeps nothing */
export async function startRedis (port: number, folder?: string): Promise<ChildProcess> {
  const redis = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', ...(folder ? ['--appendonly', 'yes', '--dir', folder] : [])], { stdio: 'ignore' })
  await once(redis, 'spawn').catch((cause) => { throw new Error('This takes a Redis: install redis-server.', { cause }) })
  if (await until(() => new Promise((resolve) => { connect(port, '127.0.0.1', function (this: Socket) { this.destroy(); resolve(true) }).once('error', () => resolve(false)) }), 5000) === Infinity) throw new Error('Redis does not start')
  return redis
}
