// A session as others see it: in the answers of the API and in what outgoing webhooks carry.
import type { Session } from './store.ts'

/** The record without what is the service's own business. `routes/sessions.ts` describes each field. */
export function toRecord (session: Session) {
  return {
    id: session.id,
    mode: session.mode,
    room_name: session.room_name,
    user_id: session.user_id,
    agent_type: session.agent_type ?? undefined,
    counselor_category: session.category_name ?? undefined,
    language: session.language ?? undefined,
    text_only: session.text_only || undefined,
    state: session.state,
    end_reason: session.end_reason,
    agent: { state: session.agent_state, dispatches: session.agent_dispatches, joined_at: session.agent_joined_at },
    transcript: session.transcript ?? null, // a message of before there were any has none
    recording: recordingOf(session),
    ingress: ingressOf(session),
    created_at: session.created_at,
    ended_at: session.ended_at,
    expires_at: session.expires_at
  }
}

/** The ingress without its key, which its user was told when it was made. */
export function ingressOf ({ ingress: state, ingress_kind: kind }: Session) {
  return state ? { kind: kind!, state } : null
}

/** The recording without its link (`recordings.ts`); a session has one at most, of its id. Times of a message that was stored are strings. */
export function recordingOf ({ id, recording, recording_started_at: from, recording_ended_at: until }: Session) {
  if (!recording) return null
  const duration = from && until ? (new Date(until).getTime() - new Date(from).getTime()) / 1000 : null
  return { id, state: recording, started_at: from, ended_at: until, duration, url: null as string | null }
}
