-- Tells only of what is lost or to be cancelled.
with given as materialized (
  select * from json_to_recordset($1::text::json)
    as lease (s bigint, t bigint, c text, l float8)
),
kept as (
  update headrace.running set lease_until = $2::float8 + given.l
  from given
  where running.seq = given.s and running.token = given.t and running.claim = given.c
  returning running.seq, running.token, running.claim
)
select given.n, kept.seq is null
from (select *, row_number() over () - 1 as n from given) given
left join kept on kept.seq = given.s and kept.token = given.t and kept.claim = given.c
where kept.seq is null or exists (select 1 from headrace.cancelling where cancelling.seq = kept.seq)
