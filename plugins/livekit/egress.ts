// LiveKit Egress as the service uses it: asked to record, listed and stopped.
import { EgressStatus, EncodedFileOutput, EncodedFileType, S3Upload, type EgressInfo } from '@livekit/protocol'
import { EgressClient } from 'livekit-server-sdk'
import type { Egress } from '../../src/sessions/recordings.ts'
import type { EgressReport } from '../../src/sessions/rooms.ts'
import { createAside, type AsideOptions } from './aside.ts'

/** LiveKit looks for an egress that takes it for 10 s, three times over; who takes it answers when its process runs, ms. */
const START_LIMIT = 10_000
const CALL_LIMIT = 3000

export interface EgressOptions extends AsideOptions {
  /** Where recordings are put: the credentials travel with each request. */
  storage: { bucket: string, endpoint: string, region: string, accessKey: string, secret: string }
}

/** @throws LiveKitFailed */
export function createEgress ({ storage, ...options }: EgressOptions): Egress & { close: () => Promise<void> } {
  const { call, close } = createAside(new EgressClient(options.urls[0]!, options.apiKey, options.apiSecret, { requestTimeout: START_LIMIT / 1000 }), options)

  return {
    async start ({ roomName, file, audioOnly }) {
      const output = new EncodedFileOutput({
        fileType: audioOnly ? EncodedFileType.OGG : EncodedFileType.MP4,
        filepath: file,
        disableManifest: true,
        output: { case: 's3', value: new S3Upload({ ...storage, forcePathStyle: true }) }
      })
      return toReport(await call('StartRoomCompositeEgress', START_LIMIT, (client) => client.startRoomCompositeEgress(roomName, { file: output }, { audioOnly })))
    },

    list: async (roomName) => (await call('ListEgress', CALL_LIMIT, (client) => client.listEgress({ roomName }))).map(toReport),

    async stop (id) {
      try {
        await call('StopEgress', CALL_LIMIT, (client) => client.stopEgress(id))
      } catch (error) {
        // Not known, or over (412).
        const { liveKitStatus: status } = error as { liveKitStatus?: number }
        if (status !== 404 && status !== 412) throw error
      }
    },

    close
  }
}

const statuses: Record<EgressStatus, EgressReport['status']> = {
  [EgressStatus.EGRESS_STARTING]: 'starting',
  [EgressStatus.EGRESS_ACTIVE]: 'running',
  [EgressStatus.EGRESS_ENDING]: 'running',
  [EgressStatus.EGRESS_COMPLETE]: 'complete',
  [EgressStatus.EGRESS_LIMIT_REACHED]: 'complete',
  [EgressStatus.EGRESS_FAILED]: 'failed',
  [EgressStatus.EGRESS_ABORTED]: 'failed'
}

/** LiveKit counts nanoseconds since 1970; 0 = not yet. */
const timeOf = (nanoseconds: bigint) => nanoseconds > 0n ? new Date(Number(nanoseconds / 1_000_000n)) : null

export function toReport (info: EgressInfo): EgressReport {
  const { request } = info
  const outputs = request.case === 'roomComposite' ? [...request.value.fileOutputs, ...(request.value.output.case === 'file' ? [request.value.output.value] : [])] : []
  return {
    id: info.egressId,
    roomName: info.roomName,
    file: outputs[0]?.filepath ?? '',
    status: statuses[info.status],
    startedAt: timeOf(info.startedAt),
    endedAt: timeOf(info.endedAt),
    error: info.error
  }
}
