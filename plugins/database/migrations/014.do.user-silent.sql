-- An agent that said it ends the call because its user keeps silent (attribute session.end = idle).
alter table participants add column user_silent boolean not null default false;
