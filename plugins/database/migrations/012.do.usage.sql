-- What sessions used: the seconds of connection follow from the stays, the rest is what agents report.

-- Whether what the session used is in the days below, as it stands. Sessions that ended before this migration are not counted.
alter table sessions add column counted boolean not null default true;
alter table sessions alter column counted set default false;
update sessions set counted = false where ended_at is null;

create index sessions_to_be_counted on sessions (ended_at) where not counted and ended_at is not null;
create index sessions_uncounted on sessions (user_id) where not counted;

-- What each agent's process has used until now: a later report takes the place of the one before.
create table usage_reports (
  session_id    uuid not null references sessions on delete cascade,
  writer        uuid not null,
  seq           integer not null,
  stt_ms        bigint not null,
  tts_ms        bigint not null,
  input_tokens  bigint not null,
  output_tokens bigint not null,
  tool_calls    bigint not null,
  primary key (session_id, writer)
);

-- What of a session is in the day on which it was started (UTC).
create table usage_sessions (
  session_id    uuid primary key references sessions on delete cascade,
  day           date not null,
  sessions      bigint not null,
  user_ms       bigint not null,
  agent_ms      bigint not null,
  stt_ms        bigint not null,
  tts_ms        bigint not null,
  input_tokens  bigint not null,
  output_tokens bigint not null,
  tool_calls    bigint not null
);

create table usage_days (
  user_id       text not null,
  day           date not null,
  sessions      bigint not null,
  user_ms       bigint not null,
  agent_ms      bigint not null,
  stt_ms        bigint not null,
  tts_ms        bigint not null,
  input_tokens  bigint not null,
  output_tokens bigint not null,
  tool_calls    bigint not null,
  primary key (user_id, day)
);

create index usage_days_all on usage_days (day, user_id);

-- The start asked for a summary of what is said: it is in the transcript, as a line of its own.
alter table sessions add column summary boolean not null default false;
