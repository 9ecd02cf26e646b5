// What only a call by telephone has: keys that are pressed (DTMF), and a person whom the call is handed over to.
import { beta, llm, voice } from '@livekit/agents'
import { ParticipantKind, RoomEvent, type RemoteParticipant, type Room } from '@livekit/rtc-node'
import { SipClient } from 'livekit-server-sdk'
import type { Call } from './call.ts'
import type { CommonConfig } from './config.ts'
import { reasonOf } from './log.ts'

/** Milliseconds after which keys that were pressed are one input, and how many one input may have. */
const PAUSE = 1500
const MOST_KEYS = 64

/** Seconds the person's telephone may ring. */
const RINGING = 30

const isCaller = ({ info }: RemoteParticipant) => info.kind === ParticipantKind.SIP

/** Calls `onText` with the keys that a caller pressed, in words for the model, when nothing more is pressed for a while. */
export function listenToKeys (room: Room, onText: (text: string) => void): void {
  let keys = ''
  let timer: NodeJS.Timeout | undefined
  room.on(RoomEvent.DtmfReceived, (_code, digit, participant) => {
    if (!isCaller(participant) || keys.length >= MOST_KEYS || !/^[0-9*#A-D]$/.test(digit)) return
    keys += digit
    clearTimeout(timer)
    timer = setTimeout(() => {
      onText(`(The user pressed these keys of the telephone: ${[...keys].join(' ')})`)
      keys = ''
    }, PAUSE)
  })
}

/** The framework's tool that presses keys, and the one that hands a call over to `person`: as the prompt of the agent type allows. */
export function telephoneTools (call: Call, config: CommonConfig, { pressKeys, person }: { pressKeys: boolean, person: string }) {
  return [...pressKeys ? [beta.sendDtmfEvents] : [], ...person && person !== 'off' ? [handOver(call, config, person)] : []]
}

/** A SIP REFER, which LiveKit's SIP service sends to whoever the call came from: the caller then talks to the person, and not in this room any more. */
function handOver (call: Call, { serverUrl, LIVEKIT_API_KEY: key, LIVEKIT_API_SECRET: secret }: CommonConfig, person: string) {
  const { ctx, log, metadata } = call
  const sip = new SipClient(serverUrl.replace(/^ws/, 'http'), key, secret)
  return llm.tool({
    name: 'hand_over',
    description: 'Hands the call over to a person. Use it only when the user has asked for one, after you have said so. It works for calls by telephone.',
    async execute (_args, { ctx: run }) {
      const caller = [...ctx.room.remoteParticipants.values()].find(isCaller)
      if (!caller) throw new llm.ToolError('The user does not call by telephone: the call cannot be handed over.')
      await run.waitForPlayout()
      try {
        await sip.transferSipParticipant(metadata.room_name, caller.identity, person, { playDialtone: true, ringingTimeout: RINGING })
      } catch (error) {
        log.warn({ reason: reasonOf(error) }, 'the call could not be handed over')
        throw new llm.ToolError('The call could not be handed over.')
      }
      log.info('the call is handed over, the agent hangs up')
      // When the tool is on record. Should that never be: its user has left, and so the room closes all the same.
      run.session.once(voice.AgentSessionEventTypes.FunctionToolsExecuted, () => {
        call.hangUp().catch((error: unknown) => log.error({ error }, 'the agent could not hang up'))
      })
    }
  })
}
