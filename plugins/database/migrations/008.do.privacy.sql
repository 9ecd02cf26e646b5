-- A user's data, to be given out or deleted: found by the user, also in lines about others.

-- Until all is gone; what began after `before` is not meant.
create table erasures (
  user_id text primary key,
  before  timestamptz not null
);

create index session_events_user on session_events (user_id);
create index session_events_of_others on session_events (actor)
  where actor like '%:%' and actor is distinct from 'user:' || user_id and actor is distinct from 'admin:' || user_id;
create index session_events_looked_at on session_events ((data ->> 'user')) where type = 'admin.read' and data ? 'user';
create index sessions_ended_by on sessions (ended_by) where ended_by like 'admin:%';

-- Beside retention, a line may lose the name of who acted or was looked at, and nothing else.
create or replace function session_events_are_final() returns trigger language plpgsql as $$
begin
  if current_setting('livekit_sessions.retention', true) = 'on' then
    if tg_op = 'DELETE' then
      return old;
    end if;
    if tg_op = 'UPDATE' and to_jsonb(new) - '{actor,data}'::text[] = to_jsonb(old) - '{actor,data}'::text[]
       and new.actor in (old.actor, split_part(old.actor, ':', 1) || ':erased') and new.data in (old.data, old.data - 'user') then
      return new;
    end if;
  end if;
  raise exception 'session_events is append-only' using errcode = 'insufficient_privilege';
end
$$;
