-- The recording of a session whose start asked for one: null = not asked for.
alter table sessions
  add column recording text check (recording in ('pending', 'recording', 'ready', 'failed', 'deleted')),
  add column recording_file text,
  add column recording_egress text,
  add column recording_asks integer not null default 0,
  add column recording_started_at timestamptz,
  add column recording_ended_at timestamptz,
  add column recording_check_at timestamptz;

create index sessions_recordings_due on sessions (recording_check_at) where recording_check_at is not null;

-- Objects that are to go: their session has gone, whoever deleted it, or its owner deleted the recording.
create table recordings_left (
  file       text primary key,
  room_name  text not null,
  user_id    text not null,
  created_at timestamptz not null,
  attempts   integer not null default 0,
  check_at   timestamptz not null default '-infinity'
);
create index recordings_left_due on recordings_left (check_at);
create index recordings_left_user on recordings_left (user_id);

create function leave_recording() returns trigger language plpgsql as $$
begin
  insert into recordings_left (file, room_name, user_id, created_at) values (old.recording_file, old.room_name, old.user_id, old.created_at) on conflict do nothing;
  return null;
end $$;

create trigger recording_deleted after update of recording on sessions for each row
  when (new.recording = 'deleted' and old.recording is distinct from 'deleted' and old.recording_file is not null) execute function leave_recording();
create trigger session_deleted after delete on sessions for each row
  when (old.recording <> 'deleted' and old.recording_file is not null) execute function leave_recording();
