// In the conversation: the agent's state and sound, captions of both sides, microphone, typing, time, and the end.
import { useEffect, useRef, useState, type FormEvent } from 'react'
import { BarVisualizer, RoomAudioRenderer, StartAudio, useConnectionState, useIsRecording, useMediaDeviceSelect, useSessionContext, useSessionMessages, useTrackToggle, useTrackVolume, useVoiceAssistant, VideoTrack, type VoiceAssistant } from '@livekit/components-react'
import { ConnectionState, Track, type LocalAudioTrack } from 'livekit-client'
import { clockTime, Trouble } from '../frame.tsx'
import { texts } from '../texts.ts'
import { save, toText, toVtt } from './captions.ts'
import type { useConversation } from './use-conversation.ts'

type Props = Pick<ReturnType<typeof useConversation>, 'place' | 'microphone' | 'agent' | 'transcript' | 'end' | 'openMicrophone' | 'callAgain'>

/** What to say of the agent: from the room when it is there, from the service when it is not. */
function agentText ({ agent, state }: VoiceAssistant, told: string | undefined): string {
  if (agent && state === 'initializing') return texts.states.coming
  if (agent) return state === 'thinking' || state === 'speaking' ? texts.states[state] : texts.states.listening // also one that says nothing of its state
  if (told === 'agent.failed') return texts.states.failed
  if (told === 'agent.left') return texts.states.gone
  return told === 'agent.dispatched' ? texts.states.late : texts.states.coming
}

function Level () {
  const { room } = useSessionContext()
  const publication = room.localParticipant.getTrackPublication(Track.Source.Microphone)
  const volume = useTrackVolume(publication?.track as LocalAudioTrack | undefined)
  return <meter className='level' min={0} max={1} value={Math.min(1, volume * 1.5)} aria-label={texts.level} />
}

function Microphone ({ room }: { room: ReturnType<typeof useSessionContext>['room'] }) {
  const { enabled, toggle, pending } = useTrackToggle({ source: Track.Source.Microphone, room })
  const { devices, activeDeviceId, setActiveMediaDevice } = useMediaDeviceSelect({ kind: 'audioinput', room })
  return (
    <div className='microphone'>
      <button type='button' className={enabled ? 'round' : 'round off'} aria-pressed={!enabled} disabled={pending} onClick={() => { toggle().catch(() => {}) }}>
        <svg viewBox='0 0 24 24' width='22' height='22' aria-hidden='true'><path d='M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3ZM6 11a6 6 0 0 0 12 0M12 17v4' />{!enabled && <path d='M4 4l16 16' />}</svg>
        <span>{enabled ? texts.mute : texts.unmute}</span>
      </button>
      <Level />
      {devices.some((device) => device.label) && (
        <label className='device'>
          <span className='unseen'>{texts.microphone}</span>
          <select value={activeDeviceId} onChange={(event) => { setActiveMediaDevice(event.target.value).catch(() => {}) }}>
            {devices.map((device) => <option key={device.deviceId} value={device.deviceId}>{device.label || texts.microphone}</option>)}
          </select>
        </label>
      )}
    </div>
  )
}

function Messages ({ since, transcript }: { since: number, transcript: Props['transcript'] }) {
  const { messages, send, isSending } = useSessionMessages()
  const [text, setText] = useState('')
  const list = useRef<HTMLDivElement>(null)
  useEffect(() => { list.current?.scrollTo({ top: list.current.scrollHeight }) }, [messages])
  const submit = (event: FormEvent) => {
    event.preventDefault()
    const said = text.trim()
    if (!said) return
    setText('')
    send(said).catch(() => setText(said))
  }
  /** What the service wrote down, all of it, where it does; else what was seen here. */
  const keep = async (form: 'text/vtt' | 'text/plain') => {
    const said = messages.map(({ from, message, timestamp }) => ({ by: from?.isLocal ? 'user' as const : 'agent' as const, text: message, at: timestamp }))
    const written = await transcript?.(form).catch(() => undefined)
    save(`${texts.file}.${form === 'text/vtt' ? 'vtt' : 'txt'}`, form, written ?? (form === 'text/vtt' ? toVtt(said, since) : toText(said, since, { user: texts.you, agent: texts.agent })))
  }
  return (
    <section className='messages' aria-label={texts.captions}>
      <div ref={list} className='log' role='log' aria-label={texts.captions} tabIndex={0}>
        <ol>
          {messages.length === 0 && <li className='soft empty'>{texts.noCaptions}</li>}
          {messages.map((message) => {
            const mine = message.from?.isLocal ?? false
            return <li key={message.id} className={mine ? 'mine' : 'theirs'}><small>{mine ? texts.you : texts.agent}</small><p>{message.message}</p></li>
          })}
        </ol>
      </div>
      {messages.length > 0 && (
        <div className='saving'>
          <button type='button' onClick={() => { keep('text/plain').catch(() => {}) }}>{texts.saveText}</button>
          <button type='button' onClick={() => { keep('text/vtt').catch(() => {}) }}>{texts.saveCaptions}</button>
        </div>
      )}
      <form className='typing' onSubmit={submit}>
        <input aria-label={texts.type} placeholder={texts.type} value={text} maxLength={2000} onChange={(event) => setText(event.target.value)} />
        <button className='main' type='submit' disabled={isSending || text.trim() === ''}>{texts.send}</button>
      </form>
    </section>
  )
}

function Elapsed ({ since }: { since: number }) {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000)
    return () => clearInterval(timer)
  }, [])
  return <time className='elapsed' aria-label={texts.elapsed}>{clockTime(now - since)}</time>
}

export function Conversation ({ place, microphone, agent: told, transcript, end, openMicrophone, callAgain }: Props) {
  const { room } = useSessionContext()
  // Not useAgent: it takes an agent that was replaced for failed as long as the call lasts (components-react 2.9.24).
  const assistant = useVoiceAssistant()
  const connection = useConnectionState(room)
  const recorded = useIsRecording(room)
  const said = agentText(assistant, told)
  const failed = said === texts.states.failed
  const away = connection === ConnectionState.Reconnecting || connection === ConnectionState.SignalReconnecting
  return (
    <div className='conversation'>
      <RoomAudioRenderer room={room} />
      <section className='agent'>
        {assistant.videoTrack
          ? <VideoTrack trackRef={assistant.videoTrack} className='avatar' aria-label={texts.avatar} />
          : <BarVisualizer className='bars' state={failed ? 'failed' : assistant.state} track={assistant.audioTrack} barCount={7} options={{ minHeight: 8 }} aria-hidden='true' />}
        <p className='said' role='status'>{away ? texts.lost : said}</p>
        <p className='recorded' role='status'>{recorded && texts.recorded}</p>
        {failed && (
          <>
            <p className='soft'>{texts.failedHint}</p>
            <button type='button' className='main' onClick={() => { callAgain().catch(() => {}) }}>{texts.callAgain}</button>
          </>
        )}
        {place && <Elapsed since={place.since} />}
        <div className='row'>
          <StartAudio room={room} label={texts.hear} className='main' />
        </div>
        {microphone && <Trouble problem={microphone}><button type='button' onClick={() => { openMicrophone().catch(() => {}) }}>{texts.tryAgain}</button></Trouble>}
        <div className='controls'>
          <Microphone room={room} />
          <button type='button' className='danger' onClick={() => { end().catch(() => {}) }}>{texts.end}</button>
        </div>
      </section>
      <Messages since={place?.since ?? 0} transcript={transcript} />
    </div>
  )
}
