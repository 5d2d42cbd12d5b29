select
  exists (select 1 from headrace_scheduled where run_at <= ?1),
  exists (
    select 1 from headrace_expiry
    where expires <= ?1 and seq not in (select seq from headrace_running)
  )
