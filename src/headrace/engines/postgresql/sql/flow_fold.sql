-- Adds up what came and went. One does it at a time, so that nobody waits.
with turn as materialized (
  select pg_try_advisory_xact_lock(hashtextextended('headrace.flow', 0)) as mine
),
gone as (
  delete from headrace.flow
  where ctid = any (array(
    select ctid from headrace.flow where (select mine from turn) limit 20000 for update skip locked
  ))
  returning queue, jobs, bytes, drained
),
sums as materialized (
  select queue, sum(jobs) as jobs, sum(bytes) as bytes, sum(drained) as drained
  from gone group by queue
),
held as materialized (
  select id, drained_from, $1::float8 - drained_from > 5 as full_window
  from headrace.queue where id in (select queue from sums) order by id for no key update
)
update headrace.queue set
  depth = queue.depth + sums.jobs,
  bytes = queue.bytes + sums.bytes,
  drain_rate = case when held.full_window
    then queue.drained / ($1::float8 - queue.drained_from) else queue.drain_rate end,
  drained = case when held.full_window then 0 else queue.drained end + sums.drained,
  drained_from = case when held.full_window then $1::float8 else queue.drained_from end
from sums join held on held.id = sums.queue
where queue.id = held.id
