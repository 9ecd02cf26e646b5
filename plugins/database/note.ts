// A line of the audit trail in the statement of the change that it is about: on record with it, or neither is.
import type { SessionEvent } from '../../src/sessions/store.ts'

/** With the rows that `written` returned, a line of the trail; its values begin at `$from`. */
export const noted = (from: number) => `
  noted as (insert into session_events (session_id, user_id, at, type, actor, data)
    select null, $${from}, $${from + 1}, $${from + 2}, $${from + 3}, $${from + 4}::jsonb from written where $${from + 2}::text is not null)`

/** The five values; no line when there is no event. */
export const valuesOf = (event: SessionEvent | undefined) => event ? [event.user_id, event.at, event.type, event.actor, event.data] : [null, null, null, null, null]
