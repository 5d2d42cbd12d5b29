select late.seq, member.queue, member.order_key
from (
  select seq from headrace.expiry
  where expires <= $1::float8
    and not exists (select 1 from headrace.running where running.seq = any (array[expiry.seq]))
  order by expires limit 1000
) late
left join headrace.ordered member on member.seq = any (array[late.seq])
