-- What was said in a session whose start asked for it: null = not asked for; the lines are sealed with a key that the database does not have.
alter table sessions add column transcript text check (transcript in ('writing', 'ready', 'deleted'));

-- Those to be made ready once they are over, and those that may have left lines behind.
create index sessions_transcripts_due on sessions (ended_at) where transcript = 'writing' and ended_at is not null;
create index sessions_transcripts_deleted on sessions (id) where transcript = 'deleted';

-- Each agent's process that wrote, and whether it has said that it is done.
create table transcript_writers (
  session_id uuid not null references sessions on delete cascade,
  writer     uuid not null,
  done       boolean not null,
  -- all that it has sent, a line that grew again and again
  bytes      bigint not null,
  primary key (session_id, writer)
);

-- A line grows while it is spoken: a later revision takes the place of the one before, never the other way round.
create table transcript_lines (
  id         bigint generated always as identity primary key,
  session_id uuid not null references sessions on delete cascade,
  writer     uuid not null,
  seq        integer not null,
  revision   integer not null,
  at         timestamptz not null,
  key_id     text not null,
  sealed     bytea not null,
  unique (session_id, writer, seq)
);
