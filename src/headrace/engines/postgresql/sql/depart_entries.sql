-- Nothing while a job lives that might still write some. `$3` and `$4` are the first and the end of
-- the names that stay. A rival's open transaction is awaited.
with oldest as materialized (
  select key, value, version, expires from headrace.entry
  where (key < $3::text or key >= $4::text)
    and not exists (select 1 from headrace.ready)
    and not exists (select 1 from headrace.scheduled)
    and not exists (select 1 from headrace.running)
    and not exists (select 1 from headrace.ordered)
  order by key limit $1::bigint
  for update of entry
),
weighed as (
  select *, sum(octet_length(value)) over (order by key) as weight,
    row_number() over (order by key) as nth
  from oldest
)
select key, value, version, expires from weighed where weight <= $2::bigint or nth = 1 order by key
