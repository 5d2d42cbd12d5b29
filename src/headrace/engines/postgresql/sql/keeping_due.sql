-- Whether there is anything to do for housekeeping. `$1` is now and `$2` what leases are measured by;
-- without them, the server's time. Receipts have no index by age: `$3` is whether to look at them.
select exists (select 1 from headrace.flow)
  or exists (select 1 from headrace.running where lease_until < moment.steady)
  or exists (select 1 from headrace.scheduled where run_at <= moment.now)
  or exists (
    select 1 from headrace.expiry where expires <= moment.now
    and not exists (select 1 from headrace.running where running.seq = expiry.seq)
  )
  or exists (select 1 from headrace.finished where kept_until <= moment.now)
  or exists (select 1 from headrace.entry where expires <= moment.now)
  or $3::boolean and exists (select 1 from headrace.receipt)
from (
  select coalesce($1::float8, extract(epoch from statement_timestamp())::float8) as now,
    coalesce($2::float8, extract(epoch from statement_timestamp())::float8) as steady
) moment
