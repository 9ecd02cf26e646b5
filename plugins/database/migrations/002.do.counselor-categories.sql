-- Counsellor categories: what a video session is about, and what its agent is told. Never deleted, only disabled: history names them.

create table counselor_categories (
  id            uuid primary key,
  name          text not null,
  description   text not null,
  -- null: the default prompt
  system_prompt text,
  enabled       boolean not null,
  created_at    timestamptz not null,
  updated_at    timestamptz not null
);
