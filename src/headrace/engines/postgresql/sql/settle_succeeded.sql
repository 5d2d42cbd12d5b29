-- Answers with the runs whose lease is lost, and whether anybody asked to cancel anything.
with given as materialized (
  select * from json_to_recordset($1::text::json)
    as run (n integer, s bigint, t bigint, c text, a integer, k float8, r text, d float8)
),
gone as (
  delete from headrace.running using given
  where running.seq = any (array[given.s]) and running.token = given.t and running.claim = given.c
  returning running.seq, given.n, given.a, given.k, given.r, given.d
),
done as (
  insert into headrace.finished (seq, state, attempt, finished_at, kept_until, result, seconds)
  select seq, 'succeeded', a, $2::float8, $2::float8 + k, r, d from gone
),
counted as (
  insert into headrace.flow (queue, jobs, bytes, drained)
  select job.queue, -count(*), -sum(job.size), count(*)
  from gone join headrace.job job on job.seq = gone.seq
  group by job.queue
)
select exists (select 1 from headrace.cancelling),
  (select json_agg(given.n)::text from given where given.n not in (select n from gone))
