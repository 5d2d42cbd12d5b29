insert into headrace_scheduled (seq, run_at)
select seq, run_at from (
  select seq, coalesce(envelope ->> 'run_at', ?2 + (envelope ->> 'delay')) as run_at
  from headrace_job where seq > ?1
) where run_at > ?2
