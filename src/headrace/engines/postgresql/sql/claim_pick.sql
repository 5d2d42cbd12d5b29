-- Takes the first jobs of queues, but for those that a rival is taking. It spells leases out as JSON,
-- so that one call decodes them all. `$2` is the claim, `$3` its end, `$4` the claim as JSON.
with picked as materialized (
  select wanted.n, first.queue, first.rank, first.seq
  from json_to_recordset($1::text::json)
    as wanted (n integer, q integer, r integer, s bigint, l integer)
  cross join lateral (
    select ready.queue, ready.rank, ready.seq from headrace.ready
    where ready.queue = wanted.q and (ready.rank, ready.seq) >= (wanted.r, wanted.s)
    order by ready.queue, ready.rank, ready.seq
    limit wanted.l
    for update skip locked
  ) first
),
stamp as materialized (
  select token_base + nextval('headrace.token') as token from headrace.witness
),
gone as (
  delete from headrace.ready using picked
  where ready.queue = any (array[picked.queue]) and ready.rank = picked.rank and ready.seq = picked.seq
),
taken as (
  insert into headrace.running (seq, token, claim, lease_until)
  select picked.seq, stamp.token, $2::text, $3::float8 from picked cross join stamp
)
select '[' || string_agg(
  '[' || job.envelope || ',' || stamp.token || $4::text || (1 + coalesce(tally.attempts, 0)) || ','
  || coalesce(tally.lost, 0) || ',' || job.seq || ']',
  ',' order by picked.n, picked.rank, picked.seq
) || ']'
from picked
cross join stamp
join headrace.job job on job.seq = picked.seq
left join headrace.tally tally on tally.seq = any (array[picked.seq])
