-- Sessions, who was in them, and what happened to them. All times come from the service's clock, never now().

create table sessions (
  id                  uuid primary key,
  mode                text not null check (mode in ('voice', 'video')),
  room_name           text not null unique,
  room_sid            text,
  user_id             text not null,
  agent_type          text,
  category_id         uuid,
  category_name       text,
  -- 1..MAX_SESSIONS_PER_USER: the limit per user is the unique index below (D4)
  slot                integer not null check (slot > 0),
  state               text not null check (state in ('starting', 'live', 'ending', 'ended')),
  ended_by            text,
  end_reason          text check (end_reason in ('user', 'admin', 'agent', 'idle', 'lost', 'max_duration', 'agent_failed', 'start_failed')),
  idempotency_key     text,
  request_id          text not null,
  agent_state         text not null check (agent_state in ('none', 'dispatched', 'joined', 'left', 'failed')),
  -- all dispatches of the session; those of the running episode; when the last one was made
  agent_dispatches    integer not null default 0,
  episode_dispatches  integer not null default 0,
  agent_dispatched_at timestamptz,
  agent_joined_at     timestamptz,
  user_joined_at      timestamptz,
  -- the participants of the last look, to tell a look that changed nothing without reading them
  seen_sids           text not null default '',
  created_at          timestamptz not null,
  expires_at          timestamptz not null,
  ended_at            timestamptz,
  -- until when a token of an ended session could still let somebody in
  watch_until         timestamptz,
  -- the reconciler's: when to look next (null = never), who is looking, and the number that fences its writes
  next_check_at       timestamptz,
  lease_until         timestamptz not null default '-infinity',
  check_no            integer not null default 0,
  check ((state in ('ending', 'ended')) = (end_reason is not null)),
  check ((state = 'ended') = (ended_at is not null))
);

create unique index sessions_slot on sessions (user_id, slot) where ended_at is null;
create unique index sessions_idempotency_key on sessions (user_id, idempotency_key)
  where idempotency_key is not null and end_reason is distinct from 'start_failed';
create index sessions_history on sessions (user_id, created_at desc, id desc);
create index sessions_all_history on sessions (created_at desc, id desc);
create index sessions_due on sessions (next_check_at) where next_check_at is not null;
create index sessions_ended on sessions (ended_at) where ended_at is not null;

-- One row per stay, keyed by LiveKit's participant sid: upserts in any order end in the same row. History, never the base of a decision.
create table participants (
  session_id uuid not null references sessions on delete cascade,
  sid        text not null,
  identity   text not null,
  kind       text not null,
  joined_at  timestamptz,
  left_at    timestamptz,
  -- LiveKit said that it left; otherwise it was only not listed any more, or its room ended
  left_told  boolean not null default false,
  -- it went because the room went, not by itself
  with_room  boolean not null default false,
  -- an agent that said it hangs up (attribute session.end = agent)
  hung_up    boolean not null default false,
  primary key (session_id, sid)
);

-- Append-only: history, audit trail and memory of the webhooks seen, at once. Outlives its session on purpose: no foreign key.
create table session_events (
  id         bigint generated always as identity primary key,
  session_id uuid,
  user_id    text,
  at         timestamptz not null,
  type       text not null,
  actor      text not null,
  data       jsonb not null default '{}',
  livekit_id text unique
);

create index session_events_session on session_events (session_id, id) where session_id is not null;
create index session_events_at on session_events (at);
