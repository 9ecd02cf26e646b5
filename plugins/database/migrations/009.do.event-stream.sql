-- Where an event stands among all others: by the transaction that wrote it, then by its number. A number alone is given before its
-- transaction ends, so one that is lower may appear later; of transactions PostgreSQL says which are all over (pg_snapshot_xmin).
alter table session_events add column tx xid8 not null default pg_current_xact_id();

create index session_events_stream on session_events (session_id, tx, id) where session_id is not null;
create index session_events_all on session_events (tx, id);
