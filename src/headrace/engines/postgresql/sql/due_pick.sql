select due.seq, member.queue, member.order_key
from (
  select seq from headrace.scheduled where run_at <= $1::float8 order by run_at limit 1000
) due
left join headrace.ordered member on member.seq = any (array[due.seq])
