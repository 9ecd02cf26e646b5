// One session's events as a picture and as a list: who was there when, and what happened.
import { useEffect, useRef, useState } from 'react'
import { answer, type Api, type Session, type SessionEvent } from '../api.ts'
import { clockTime } from '../frame.tsx'
import { language, texts } from '../texts.ts'
import type { useLive } from './use-live.ts'

type Events = Array<Pick<SessionEvent, 'at' | 'type' | 'actor' | 'data'>>
const WIDTH = 680
const LEFT = 96
const lanes = ['session', 'participant', 'agent'] as const
const laneOf = (type: string) => lanes.findIndex((lane) => type.startsWith(lane))
const kindOf = (type: string) => type.split('.')[1]!

export function Picture ({ session, events }: { session: Session, events: Events }) {
  const begin = Date.parse(session.created_at)
  const end = Math.max(begin + 1000, session.ended_at ? Date.parse(session.ended_at) : Date.now(), ...events.map((event) => Date.parse(event.at)))
  const x = (at: string | number) => LEFT + 12 + (WIDTH - LEFT - 36) * (new Date(at).getTime() - begin) / (end - begin)
  const y = (lane: number) => 24 + lane * 34
  const shown = events.filter((event) => laneOf(event.type) >= 0)
  /** From each joining to the next leaving on its lane. */
  const stays = shown.flatMap((event, n) => kindOf(event.type) !== 'joined'
    ? []
    : [{ lane: laneOf(event.type), from: event.at, to: shown.slice(n + 1).find((other) => laneOf(other.type) === laneOf(event.type) && kindOf(other.type) === 'left')?.at ?? session.ended_at ?? end }])
  return (
    <svg className='timeline' viewBox={`0 0 ${WIDTH} 142`} role='img' aria-label={`${texts.timeline}: ${shown.map((event) => event.type).join(', ')}`}>
      {lanes.map((lane, n) => (
        <g key={lane}><text x='0' y={y(n) + 4}>{lane}</text><line className='axis' x1={LEFT} x2={WIDTH - 12} y1={y(n)} y2={y(n)} /></g>
      ))}
      {stays.map(({ lane, from, to }, n) => <line key={n} className='stay' x1={x(from)} x2={x(to)} y1={y(lane)} y2={y(lane)} />)}
      {shown.map((event, n) => <circle key={n} className={kindOf(event.type)} cx={x(event.at)} cy={y(laneOf(event.type))} r='6'><title>{`${event.type} ${event.actor}`}</title></circle>)}
      <text x={LEFT} y='134'>0:00</text>
      <text x={WIDTH - 12} y='134' textAnchor='end'>{clockTime(end - begin)}</text>
    </svg>
  )
}

export function Timeline ({ api, session, listen, onClose, onEnd }: { api: Api, session: Session, listen: ReturnType<typeof useLive>['listen'], onClose: () => void, onEnd: (session: Session) => void }) {
  const dialog = useRef<HTMLDialogElement>(null)
  const [detail, setDetail] = useState<Session & { events: Events }>()
  useEffect(() => { dialog.current?.showModal() }, [])
  useEffect(() => {
    const look = () => { answer(api.GET('/api/v1/sessions/{id}', { params: { path: { id: session.id } } })).then(setDetail, () => {}) }
    look()
    return listen((event) => { if (event.session_id === session.id && event.type !== 'admin.read') look() })
  }, [api, session.id, listen])
  const time = new Intl.DateTimeFormat(language, { timeStyle: 'medium' })
  return (
    <dialog ref={dialog} onClose={onClose} aria-labelledby='timeline-title'>
      <div className='sheet'>
        <div className='head'>
          <div><h2 id='timeline-title'>{texts.timeline}</h2><p className='soft'>{session.user_id} · {session.room_name}</p></div>
          <form method='dialog'><button type='submit'>{texts.close}</button></form>
        </div>
        {detail && <Picture session={detail} events={detail.events} />}
        <ol className='events' tabIndex={0} aria-label={texts.timeline}>
          {detail?.events.map((event, n) => (
            <li key={n}><time dateTime={event.at}>{time.format(new Date(event.at))}</time><div><b>{event.type}</b> <code>{event.actor}{Object.keys(event.data).length > 0 && ` ${JSON.stringify(event.data)}`}</code></div></li>
          ))}
        </ol>
        {detail && (detail.state === 'live' || detail.state === 'starting') && <div className='row'><button type='button' className='danger' onClick={() => onEnd(detail)}>{texts.endSession}</button></div>}
      </div>
    </dialog>
  )
}
