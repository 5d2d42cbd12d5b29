-- Locks jobs that are ready, and those at the front of their groups: a rival that claims one of them
-- is awaited, and then it is not found.
select ready.seq
from (
  select chosen.seq from unnest($1::text::bigint[]) as chosen (seq)
  union
  select front.seq
  from unnest($1::text::bigint[]) as chosen (seq)
  join headrace.ordered member on member.seq = any (array[chosen.seq])
  join headrace.front front
    on front.queue = any (array[member.queue]) and front.order_key = member.order_key and front.seq is not null
) wanted
join headrace.job job on job.seq = wanted.seq
join headrace.ready ready
  on ready.queue in (job.queue, -job.queue) and ready.rank = -job.priority and ready.seq = job.seq
order by ready.seq
for update of ready
