-- The trace in which the session was started (https://www.w3.org/TR/trace-context/#traceparent-header): what is done about it later is linked to it.
alter table sessions add column traceparent text;
