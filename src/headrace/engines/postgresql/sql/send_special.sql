-- What only some messages have. `$1` is the same batch that send.sql took.
with given as materialized (
  select job.seq, job.queue, job.priority, given.r, given.x, given.a, given.o, given.w, job.tags
  from json_to_recordset($1::text::json)
    as given (i uuid, r float8, x float8, a integer, o text, w boolean)
  join headrace.job job on job.id = given.i
),
later as (
  insert into headrace.scheduled (seq, run_at) select seq, r from given where r is not null
),
limited as (
  insert into headrace.expiry (seq, expires) select seq, x from given where x is not null
),
tried as (
  insert into headrace.tally (seq, attempts) select seq, a from given where a > 0
),
tagged as (
  insert into headrace.tag (tag, seq)
  select distinct unnest(tags), seq from given where tags is not null
),
grouped as (
  insert into headrace.ordered (seq, queue, order_key, skip)
  select seq, queue, o, coalesce(w, false) from given where o is not null
)
insert into headrace.ready (queue, rank, seq)
select queue, -priority, seq from given where r is null and o is null
