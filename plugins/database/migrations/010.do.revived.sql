-- When somebody came in after the end: from then on the word that the room is finished may be about the room before.
alter table sessions add column revived_at timestamptz;
