with turn as materialized (
  select * from json_to_recordset($1::text::json)
    as given (q integer, k text, s bigint, p integer, r integer)
),
placed as (
  insert into headrace.ready (queue, rank, seq) select p, r, s from turn where s is not null
)
update headrace.front set seq = turn.s
from turn where front.queue = any (array[turn.q]) and front.order_key = turn.k
