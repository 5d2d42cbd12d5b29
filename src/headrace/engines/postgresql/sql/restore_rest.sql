-- What is known of the jobs beside their envelopes; what ended knows its attempts itself. `$2` is now.
with given as materialized (
  select moved.*, job.queue, job.tags
  from json_to_recordset($1::text::json) as moved (
    s bigint, st text, a integer, lost integer, r float8, x float8, o text, w boolean,
    f float8, k float8, c text, why text, v text, d float8
  )
  join headrace.job job on job.seq = moved.s
),
ended as (
  insert into headrace.finished
    (seq, state, attempt, finished_at, kept_until, result, cause, failure, seconds)
  select s, st, coalesce(a, 0), f, k, v, c, why, d from given where f is not null
),
tried as (
  insert into headrace.tally (seq, attempts, lost)
  select s, coalesce(a, 0), coalesce(lost, 0) from given
  where lost > 0 or a > 0 and f is null
),
later as (
  insert into headrace.scheduled (seq, run_at)
  select s, r from given where f is null and r > $2::float8
),
limited as (
  insert into headrace.expiry (seq, expires) select s, x from given where x is not null
),
grouped as (
  insert into headrace.ordered (seq, queue, order_key, skip)
  select s, queue, o, coalesce(w, false) from given where o is not null
)
insert into headrace.tag (tag, seq)
select distinct unnest(tags), s from given where tags is not null
