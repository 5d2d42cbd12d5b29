-- The seqs are drawn in the order of the batch. A queue that is not known, or that has limits and
-- is not locked ($4), takes nothing; an id that is taken is left out: the counts tell.
with place as materialized (
  select id, $4::boolean or (max_depth is null and max_bytes is null) as open
  from headrace.queue where name = $2::text
),
sent as (
  insert into headrace.job
    (id, queue, priority, task, accepted_at, size, retention, tags, envelope)
  select given.i, place.id, given.p, given.t, $3::float8, octet_length(given.e), given.k,
    case when given.g is null then null
      else array(select json_array_elements_text(given.g)) end,
    given.e
  from json_to_recordset($1::text::json)
    as given (n integer, i uuid, p integer, t text, k text, g json, e text)
  cross join place
  where place.open
  order by given.n
  on conflict (id) do nothing
  returning seq, queue, priority, size
),
placed as (
  insert into headrace.ready (queue, rank, seq)
  select queue, -priority, seq from sent where $5::boolean
),
counted as (
  insert into headrace.flow (queue, jobs, bytes, drained)
  select queue, count(*), sum(size), 0 from sent group by queue
)
select place.id, place.open, (select count(*) from sent), (select min(seq) from sent) from place
