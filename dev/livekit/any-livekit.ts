// The LiveKit that the demo and the tests run on: a real server wherever one can be had, the emulator where not, and it says which.
import { startEmulator } from './emulator/emulator.ts'
import { findLiveKit, startLiveKit, type LiveKitOptions } from './livekit.ts'

/** What runs: its address and keys, and the sentence to show. */
export interface AnyLiveKit {
  real: boolean
  name: string
  url: string
  apiKey: string
  apiSecret: string
  port: number
  stop: () => Promise<void>
}

/**
 * Starts LiveKit on this machine's loopback.
 * With LIVEKIT_EMULATOR=1, or when no server is found and none can be built, it is the emulator: it carries no media.
 */
export async function startAnyLiveKit (options: LiveKitOptions & { agents?: string[], log?: (line: string) => void } = {}): Promise<AnyLiveKit> {
  const log = options.log ?? (() => {})
  if (process.env.LIVEKIT_EMULATOR !== '1') {
    try {
      const { binary } = await findLiveKit({ log })
      const server = await startLiveKit({ ...options, binary })
      return Object.assign(server, { real: true, name: `LiveKit ${server.version}` })
    } catch (error) {
      log(`No LiveKit server here: ${(error as Error).message}`)
    }
  }
  const emulator = await startEmulator({ ...options, agents: options.agents ?? [] })
  return Object.assign(emulator, { real: false, name: 'the LiveKit emulator (no media)' })
}
