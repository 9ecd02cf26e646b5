// A stand-in of LiveKit Egress on a real LiveKit: takes requests over its Redis, joins the room as a recorder, puts an object into the storage when it ends. It records nothing.
import { EgressInfo, EgressStatus, FileInfo, RoomCompositeEgressRequest, StopEgressRequest } from '@livekit/protocol'
import { proto3, type MessageType } from '@bufbuild/protobuf'
import { AwsClient } from 'aws4fetch'
import { AccessToken } from 'livekit-server-sdk'
import { joinRoom, type Participant } from './participant.ts'
import { joinBus, RpcError } from './psrpc.ts'

const StartEgressRequest = proto3.makeMessageType('rpc.StartEgressRequest', [
  { no: 1, name: 'egress_id', kind: 'scalar', T: 9 },
  { no: 3, name: 'room_id', kind: 'scalar', T: 9 },
  { no: 5, name: 'room_composite', kind: 'message', T: RoomCompositeEgressRequest }
]) as MessageType<any>

/** What it does with a request: takes it, does not answer, takes it and answers after 12 s, says that it has no room, or never gets into the room. */
export type EgressBehaviour = 'takes it' | 'is silent' | 'is slow' | 'is full' | 'does not begin'

const SLOW = 12_000 // ms: longer than the service waits

export type StandInEgress = Awaited<ReturnType<typeof startEgress>>

export async function startEgress ({ redisUrl, url, apiKey, apiSecret }: { redisUrl: string, url: string, apiKey: string, apiSecret: string }) {
  const bus = await joinBus(redisUrl)
  const running = new Map<string, { info: EgressInfo, recorder?: Participant, secret: string, end: (failure?: string) => Promise<void> }>()
  const asked: RoomCompositeEgressRequest[] = []
  const control = { behaviour: 'takes it' as EgressBehaviour, failsToUpload: false }
  const now = () => BigInt(Date.now()) * 1_000_000n
  const tell = (info: EgressInfo) => bus.call('IOInfo', 'UpdateEgress', info).catch(() => {}) // LiveKit may be gone

  /** The object that Egress would have made, with the credentials of the request. */
  async function upload (request: RoomCompositeEgressRequest): Promise<FileInfo> {
    const output = request.fileOutputs[0] ?? (request.output.value as typeof request.fileOutputs[number])
    const storage = output.output.value as { accessKey: string, secret: string, region: string, endpoint: string, bucket: string }
    if (control.failsToUpload) throw new Error('upload failed')
    const body = `a recording of ${request.roomName}`
    const client = new AwsClient({ accessKeyId: storage.accessKey, secretAccessKey: storage.secret, region: storage.region, service: 's3', retries: 0 })
    const { status } = await client.fetch(`${storage.endpoint}/${storage.bucket}/${output.filepath}`, { method: 'PUT', body })
    if (status !== 200) throw new Error(`the storage answered ${status}`)
    return new FileInfo({ filename: output.filepath, size: BigInt(body.length), location: `${storage.endpoint}/${storage.bucket}/${output.filepath}` })
  }

  /** Egress keeps secrets out of what it tells. */
  function redacted (request: RoomCompositeEgressRequest): RoomCompositeEgressRequest {
    const shown = request.clone()
    for (const output of [...shown.fileOutputs, ...(shown.output.case === 'file' ? [shown.output.value] : [])]) {
      if (output.output.case === 's3') output.output.value.accessKey = output.output.value.secret = '{redacted}'
    }
    return shown
  }

  async function record (info: EgressInfo, request: RoomCompositeEgressRequest) {
    const token = new AccessToken(apiKey, apiSecret, { identity: info.egressId, ttl: 3600 })
    token.kind = 'egress'
    token.addGrant({ roomJoin: true, room: request.roomName, canSubscribe: true, canPublish: false, canPublishData: false, hidden: true, recorder: true })
    let isOver = false
    const end = async (failure?: string) => {
      if (isOver) return
      isOver = true
      info.status = EgressStatus.EGRESS_ENDING
      await tell(info)
      try {
        if (failure) throw new Error(failure)
        info.fileResults = [await upload(request)]
        info.status = EgressStatus.EGRESS_COMPLETE
      } catch (error) {
        info.status = EgressStatus.EGRESS_FAILED
        info.error = (error as Error).message
      }
      info.endedAt = info.updatedAt = now()
      await one.recorder?.leave()
      await tell(info)
      running.delete(info.egressId)
      await bus.stopServing('EgressHandler', 'StopEgress', info.egressId)
    }
    const one: { info: EgressInfo, recorder?: Participant, secret: string, end: typeof end } = { info, secret: '', end }
    running.set(info.egressId, one)
    await bus.serve('EgressHandler', 'StopEgress', info.egressId, async (bytes) => {
      StopEgressRequest.fromBinary(bytes)
      end().catch(() => {})
      return info
    })
    if (control.behaviour === 'does not begin') return
    try {
      one.recorder = await joinRoom({ url, token: await token.toJwt() })
    } catch (error) {
      info.status = EgressStatus.EGRESS_ABORTED
      info.error = (error as Error).message
      running.delete(info.egressId)
      return tell(info)
    }
    info.status = EgressStatus.EGRESS_ACTIVE
    info.startedAt = info.updatedAt = now()
    await tell(info)
    await one.recorder.disconnected
    await end()
  }

  await bus.serve('EgressInternal', 'StartEgress', '', async (bytes) => {
    const { egressId, roomId, roomComposite: request } = StartEgressRequest.fromBinary(bytes)
    asked.push(request)
    if (control.behaviour === 'is silent') return new Promise(() => {})
    if (control.behaviour === 'is full') throw new RpcError('resource_exhausted', 'no room for another')
    const info = new EgressInfo({ egressId, roomId, roomName: request.roomName, status: EgressStatus.EGRESS_STARTING, request: { case: 'roomComposite', value: redacted(request) } })
    if (control.behaviour === 'is slow') {
      await bus.call('IOInfo', 'CreateEgress', info).catch(() => {})
      await new Promise((resolve) => { setTimeout(resolve, SLOW) })
    }
    setImmediate(() => record(info, request).catch(() => {}))
    return info
  })

  return {
    /** What was asked for, as it came. */
    asked,
    control,
    /** Those at work, by room. */
    recording: () => [...running.values()].map(({ info }) => info.roomName),
    /** What is at work in a room fails. */
    fail: async (roomName: string) => { for (const { info, end } of running.values()) if (info.roomName === roomName) await end('the pipeline broke') },
    /** Its process dies without a word. */
    kill () {
      for (const { recorder } of running.values()) recorder?.leave().catch(() => {})
      running.clear()
      bus.close()
    },
    async stop () {
      await Promise.all([...running.values()].map(({ end }) => end()))
      bus.close()
    }
  }
}
