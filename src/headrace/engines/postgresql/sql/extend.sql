-- Tells only of what is lost or to be cancelled.
with given as materialized (
  select * from json_to_recordset($1::text::json)
    as lease (n integer, s bigint, t bigint, c text, l float8)
),
kept as (
  update headrace.running set lease_until = $2::float8 + given.l
  from given
  where running.seq = any (array[given.s]) and running.token = given.t and running.claim = given.c
  returning given.n, running.seq
)
select n, true from given where n not in (select n from kept)
union all
select n, false from kept
where exists (select 1 from headrace.cancelling where cancelling.seq = any (array[kept.seq]))
