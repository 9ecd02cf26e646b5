-- Outgoing webhooks: where they go, and the outbox, whose rows are written by the statement that makes the change they tell of.

create table webhook_endpoints (
  id               uuid primary key,
  url              text not null,
  description      text not null,
  events           text[] not null,
  enabled          boolean not null,
  -- whsec_...; until old_secret_until the one before signs as well
  secret           text not null,
  old_secret       text,
  old_secret_until timestamptz,
  created_at       timestamptz not null,
  updated_at       timestamptz not null
);

-- One row per message and endpoint; its id is the order in which the changes were made. No foreign key: its lock on the endpoint's row
-- would be taken by every change of every session, and an endpoint that is deleted meanwhile must not undo one.
create table webhook_deliveries (
  id              bigint generated always as identity primary key,
  endpoint_id     uuid not null,
  message_id      text not null,
  session_id      uuid not null,
  user_id         text not null,
  type            text not null,
  at              timestamptz not null,
  -- the session as the change left it
  session         jsonb not null,
  state           text not null default 'pending' check (state in ('pending', 'delivered', 'dead')),
  attempts        integer not null default 0,
  -- while an attempt is on: when it must be over
  next_attempt_at timestamptz not null default '-infinity',
  give_up_at      timestamptz not null,
  -- of the last attempt
  attempted_at    timestamptz,
  status          integer,
  error           text
);

create index webhook_deliveries_due on webhook_deliveries (endpoint_id, next_attempt_at, id) where state = 'pending';
create index webhook_deliveries_lane on webhook_deliveries (endpoint_id, session_id, id) where state = 'pending';
create index webhook_deliveries_list on webhook_deliveries (endpoint_id, state, id desc);
create index webhook_deliveries_at on webhook_deliveries (at);
create index webhook_deliveries_user on webhook_deliveries (user_id);
