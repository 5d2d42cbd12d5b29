-- Locks those groups that nobody else has locked, and waits for none. A group has no row yet if its only
-- jobs came in transactions that last, which make none: then it is made here.
with wanted as materialized (
  select q, k from json_to_recordset($1::text::json) as given (q integer, k text)
),
made as (
  insert into headrace.front (queue, order_key)
  select wanted.q, wanted.k from wanted
  where not exists (
    select 1 from headrace.front where front.queue = any (array[wanted.q]) and front.order_key = wanted.k
  )
  order by wanted.q, wanted.k collate "C"
  on conflict do nothing
  returning queue, order_key
),
held as materialized (
  select front.queue, front.order_key
  from wanted
  join headrace.front front
    on front.queue = any (array[wanted.q]) and front.order_key = wanted.k
  order by wanted.q, wanted.k collate "C"
  for update of front skip locked
)
select queue, order_key from made
union all
select queue, order_key from held
