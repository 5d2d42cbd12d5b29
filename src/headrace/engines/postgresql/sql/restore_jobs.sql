-- The seqs are drawn in the order of the cargo; an id that is taken is left out: the count tells.
-- `l` is whether the job lives.
with given as materialized (
  select * from json_to_recordset($1::text::json) as moved (
    n integer, i uuid, q integer, p integer, t text, m float8, k text, g json, l boolean, e text
  )
),
moved as (
  insert into headrace.job
    (id, queue, priority, task, accepted_at, size, retention, tags, envelope)
  select i, q, p, t, m, octet_length(e), k,
    case when g is null then null else array(select json_array_elements_text(g)) end, e
  from given
  order by n
  on conflict (id) do nothing
  returning seq, id, queue, size
),
counted as (
  insert into headrace.flow (queue, jobs, bytes, drained)
  select moved.queue, count(*), sum(moved.size), 0
  from moved join given on given.i = moved.id
  where given.l
  group by moved.queue
)
select seq, id::text from moved
