// The worker's HTTP port: is it alive, can it take calls, what are its figures.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Metrics } from './metrics.ts'
import type { AvatarState } from './reports.ts'

/** What /readyz tells. */
export interface Health {
  agent: string
  agent_name: string
  /** LiveKit knows this worker and hears from it. */
  registered: boolean
  draining: boolean
  active_jobs: number
  /** Warm, and waiting for a call. */
  idle_processes: number
  avatars: Record<AvatarState, number>
}

export interface HealthOptions { host: string, port: number, metrics: Metrics, health (): Health }

/**
 * Starts listening. `/livez` 200 as long as the process answers; `/readyz` (and `/`) 200 when a call can be taken, else 503, with the same JSON; `/metrics` for Prometheus.
 * @param port 0 = any free one.
 * @throws when the port is taken.
 */
export async function listenForHealth ({ host, port, metrics, health }: HealthOptions): Promise<{ port: number, close (): void }> {
  const server: Server = createServer(async (request, response) => {
    const send = (status: number, type: string, body: string) => {
      response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' })
      response.end(request.method === 'HEAD' ? undefined : body)
    }
    const json = (status: number, body: unknown) => send(status, 'application/json', JSON.stringify(body))
    if (request.method !== 'GET' && request.method !== 'HEAD') return json(405, { error: 'method not allowed' })
    switch (request.url) {
      case '/livez': return json(200, { status: 'alive' })
      case '/':
      case '/readyz': {
        const state = health()
        return json(state.registered && !state.draining ? 200 : 503, state)
      }
      case '/metrics': {
        const state = health()
        metrics.activeJobs.set(state.active_jobs)
        metrics.idleProcesses.set(state.idle_processes)
        return send(200, metrics.registry.contentType, await metrics.registry.metrics())
      }
      default: return json(404, { error: 'not found' })
    }
  })
  server.requestTimeout = 5000
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    close () {
      server.close()
      server.closeAllConnections()
    }
  }
}
