-- What a start asked of its conversation: in writing only, and in which language (BCP 47); null = the agent's own.
alter table sessions add column text_only boolean not null default false;
alter table sessions add column language text;
