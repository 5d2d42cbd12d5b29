-- Those of whose order key none runs.
select chosen.seq
from unnest($1::text::bigint[]) as chosen (seq)
left join headrace.ordered mine on mine.seq = any (array[chosen.seq])
where not exists (
  select 1 from headrace.ordered other
  join headrace.running on running.seq = any (array[other.seq])
  where other.queue = any (array[mine.queue]) and other.order_key = mine.order_key
)
order by chosen.seq
