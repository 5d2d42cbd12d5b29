-- Waits no longer for others' locks than $1 seconds, nor than the caller's own setting says, which is
-- returned. '0' means without end.
with caller as materialized (
  select current_setting('lock_timeout') as own
)
select own, set_config(
  'lock_timeout',
  case
    when extract(epoch from own::interval) between 0.001 and $1::float8 then own
    else ceil($1::float8 * 1000)::bigint::text
  end,
  true
)
from caller
