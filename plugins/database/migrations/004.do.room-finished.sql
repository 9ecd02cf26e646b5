-- When LiveKit said itself that the room of a session is finished: its word saves most of the looks after an end.
alter table sessions add column finished_at timestamptz;
