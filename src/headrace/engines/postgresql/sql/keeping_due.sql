-- Whether there is anything to do for housekeeping, whether a lease has ended, and how many pages are
-- read to see that. `$1` is now and `$2` what leases are measured by; without them, the server's time.
-- Neither receipts nor leases have an index by age: `$3` and `$4` are whether to look at them.
select found.ended
  or exists (select 1 from headrace.flow)
  or exists (select 1 from headrace.scheduled where run_at <= found.now)
  or exists (
    select 1 from headrace.expiry where expires <= found.now
    and not exists (select 1 from headrace.running where running.seq = any (array[expiry.seq]))
  )
  or exists (select 1 from headrace.finished where kept_until <= found.now)
  or exists (select 1 from headrace.entry where expires <= found.now)
  or $3::boolean and exists (select 1 from headrace.receipt),
  found.ended, pg_relation_size('headrace.running') / current_setting('block_size')::bigint
from (
  select moment.now, $4::boolean and exists (
    select 1 from headrace.running where lease_until < moment.steady
  ) as ended
  from (
    select coalesce($1::float8, extract(epoch from statement_timestamp())::float8) as now,
      coalesce($2::float8, extract(epoch from statement_timestamp())::float8) as steady
  ) moment
  offset 0  -- once
) found
