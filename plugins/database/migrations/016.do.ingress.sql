-- The ingress by which the user of a session brings in a stream: null = none. Written before LiveKit is asked, so that nothing it made is forgotten.
-- The stream key is not kept.
alter table sessions
  add column ingress text check (ingress in ('making', 'ready', 'removing')),
  add column ingress_kind text check (ingress_kind in ('rtmp', 'whip')),
  add column ingress_id text,
  add column ingress_asks integer not null default 0,
  add column ingress_doubt_until timestamptz,
  add column ingress_check_at timestamptz;

create index sessions_ingress_due on sessions (ingress_check_at) where ingress_check_at is not null;
