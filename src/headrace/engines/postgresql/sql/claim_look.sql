-- Each queue's first job that waits, from a mark on: what lies before it need not be read again by
-- what picks. `$2` is now. Also whether anything is due or late, the base of tokens, the next moment,
-- and how many entries of the index were met, dead ones too.
with before as materialized (
  select pg_stat_get_xact_tuples_returned('headrace.ready_pkey'::regclass) as entries
)
select wanted.n, queue.id, normal.rank, normal.seq, suspect.seq is not null,
  exists (select 1 from headrace.scheduled where run_at <= $2::float8),
  exists (
    select 1 from headrace.expiry where expires <= $2::float8
    and not exists (select 1 from headrace.running where running.seq = any (array[expiry.seq]))
  ),
  (select token_base from headrace.witness),
  (select min(run_at) from headrace.scheduled),
  pg_stat_get_xact_tuples_returned('headrace.ready_pkey'::regclass) - before.entries
from before
cross join json_to_recordset($1::text::json) as wanted (n text, r integer, s bigint)
left join headrace.queue queue on queue.name = wanted.n and not queue.paused
left join lateral (
  select rank, seq from headrace.ready
  where before.entries is not null  -- counted before this is looked at
    and ready.queue = queue.id and (ready.rank, ready.seq) >= (wanted.r, wanted.s)
  order by ready.queue, ready.rank, ready.seq limit 1
) normal on true
left join lateral (
  select seq from headrace.ready
  where before.entries is not null and ready.queue = -queue.id
  order by ready.queue, ready.rank, ready.seq limit 1
) suspect on true
