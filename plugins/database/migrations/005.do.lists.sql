-- What administrators list: a rare state, or a rare mode, without reading everything else.
create index sessions_open on sessions (state, created_at desc, id desc) where state <> 'ended';
create index sessions_mode_history on sessions (mode, created_at desc, id desc);
