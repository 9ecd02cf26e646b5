-- The audit trail is append-only, for the service's own role, too. Retention says what it is (it sets the variable for its statement);
-- whoever owns the table can still take the trigger away, which no statement of the service does.

create function session_events_are_final() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' and current_setting('livekit_sessions.retention', true) = 'on' then
    return old;
  end if;
  raise exception 'session_events is append-only' using errcode = 'insufficient_privilege';
end
$$;

create trigger session_events_rows before update or delete on session_events for each row execute function session_events_are_final();
create trigger session_events_table before truncate on session_events for each statement execute function session_events_are_final();
