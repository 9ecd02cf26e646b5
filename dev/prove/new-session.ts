// A voice session that is about to be claimed, as a start would: for what puts statements to the store without a request.
import { randomUUID } from 'node:crypto'
import type { NewSession } from '../../src/sessions/store.ts'

/** One of a user and with a room of its own, that nobody looks at for an hour; `more` says what is otherwise. */
export function newSession (more: Partial<NewSession> = {}): NewSession {
  const id = randomUUID()
  const later = (s: number) => new Date(Date.now() + s * 1000)
  return {
    id,
    mode: 'voice',
    room_name: `new-${id}`,
    user_id: `new-${id}`,
    agent_type: 'general',
    category_id: null,
    category_name: null,
    idempotency_key: null,
    request_id: 'r',
    traceparent: null,
    transcript: null,
    summary: false,
    recording: null,
    recording_file: null,
    recording_check_at: null,
    text_only: false,
    language: null,
    agent_state: 'dispatched',
    agent_dispatches: 1,
    created_at: later(0),
    expires_at: later(60),
    next_check_at: later(3600),
    lease_until: later(3600),
    ...more
  }
}
