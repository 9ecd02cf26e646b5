-- Whether there is a transcript, and all who wrote it are done. Volatile and in plpgsql: it sees what was committed while the statement that asks
-- waited for the session's row, and not what that statement saw when it began (https://www.postgresql.org/docs/current/xfunc-volatility.html).
create function transcript_is_whole(session uuid) returns boolean language plpgsql volatile as $$
begin
  return exists (select 1 from transcript_writers where session_id = session) and not exists (select 1 from transcript_writers where session_id = session and not done);
end
$$;
