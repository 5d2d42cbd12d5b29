select running.seq, member.queue, member.order_key
from headrace.running running
left join headrace.ordered member on member.seq = any (array[running.seq])
where running.claim >= $1::text || '.' and running.claim < $1::text || '/'
  and length(running.claim) = $2::integer
