// A stand-in of LiveKit SIP on a real LiveKit, as far as a hand-over needs it: takes the transfer of a call over its Redis. No telephone rings.
import { Empty, proto3, type MessageType } from '@bufbuild/protobuf'
import { joinBus, RpcError } from './psrpc.ts'

const TransferRequest = proto3.makeMessageType('rpc.InternalTransferSIPParticipantRequest', [
  { no: 1, name: 'sip_call_id', kind: 'scalar', T: 9 },
  { no: 2, name: 'transfer_to', kind: 'scalar', T: 9 },
  { no: 3, name: 'play_dialtone', kind: 'scalar', T: 8 }
]) as MessageType<any>

export type StandInSip = Awaited<ReturnType<typeof startSip>>

export async function startSip ({ redisUrl }: { redisUrl: string }) {
  const bus = await joinBus(redisUrl)
  const asked: Array<{ callId: string, to: string, dialtone: boolean }> = []
  return {
    /** What it was asked for. */
    asked,
    /**
     * Has a call, which it can then be asked to hand over.
     * @param onTransfer what becomes of it: the real one ends its participant when the person has answered, and says no when they did not.
     */
    async hasCall (callId: string, onTransfer: () => Promise<'answered' | 'refused'>) {
      await bus.serve('SIPInternal', 'TransferSIPParticipant', callId, async (bytes) => {
        const { sipCallId, transferTo, playDialtone } = TransferRequest.fromBinary(bytes)
        asked.push({ callId: sipCallId, to: transferTo, dialtone: playDialtone })
        if (await onTransfer() === 'refused') throw new RpcError('unavailable', 'the person did not answer')
        return new Empty()
      })
    },
    stop () { bus.close() }
  }
}
