// What goes on, kept up to date: asked for once, and again after each event that the service tells of.
import { useCallback, useEffect, useRef, useState } from 'react'
import { answer, openEvents, type Api, type Overview, type Session, type SessionEvent } from '../api.ts'

/** Events that come at once are answered by one look, ms. */
const GATHER = 300
/** Without any event, ms: ages and counts move on. */
const SLOW = 15_000

/** What the console does, and tells the outcome of: no error is none. */
export type Tell = (work: 'look' | 'load' | 'end', error?: unknown) => void

export function useLive (api: Api, token: string, tell: Tell) {
  const [sessions, setSessions] = useState<Session[]>([])
  const [overview, setOverview] = useState<Overview>()
  const [following, setFollowing] = useState(false)
  const listeners = useRef(new Set<(event: SessionEvent) => void>())

  const look = useCallback(async () => {
    const [starting, live, numbers] = await Promise.all([
      answer(api.GET('/api/v1/sessions', { params: { query: { state: 'starting', limit: '100' } } })),
      answer(api.GET('/api/v1/sessions', { params: { query: { state: 'live', limit: '100' } } })),
      answer(api.GET('/api/v1/overview'))
    ])
    setSessions([...starting.sessions, ...live.sessions])
    setOverview(numbers)
  }, [api])

  useEffect(() => {
    let soon: number | undefined
    const again = () => { look().then(() => tell('look'), (error) => tell('look', error)) }
    again()
    const slow = setInterval(again, SLOW)
    const source = openEvents('/api/v1/events', token)
    source.onopen = () => setFollowing(true)
    source.onerror = () => setFollowing(false)
    source.onmessage = ({ data }) => {
      const event = JSON.parse(data) as SessionEvent
      for (const listener of listeners.current) listener(event)
      if (event.type === 'admin.read') return // our own looks
      clearTimeout(soon)
      soon = window.setTimeout(again, GATHER)
    }
    return () => {
      source.close()
      clearInterval(slow)
      clearTimeout(soon)
    }
  }, [look, token, tell])

  const listen = useCallback((listener: (event: SessionEvent) => void) => {
    listeners.current.add(listener)
    return () => { listeners.current.delete(listener) }
  }, [])
  return { sessions, overview, following, look, listen }
}
