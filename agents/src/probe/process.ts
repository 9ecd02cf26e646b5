// The process of one call: told by its parent what to call, tells it what came of it. The media engine prints as it likes, and may break.
import { dispose } from '@livekit/rtc-node'
import { setTimeout as sleep } from 'node:timers/promises'
import { probe, type ProbeOptions } from './call.ts'

process.once('message', async (options: ProbeOptions) => {
  const outcome = await probe(options)
  await Promise.race([dispose(), sleep(2000)])
  process.send!(outcome, () => process.exit())
})
