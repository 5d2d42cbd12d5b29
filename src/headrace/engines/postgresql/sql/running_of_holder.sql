select running.seq, member.queue, member.order_key
from headrace.running running left join headrace.ordered member using (seq)
where running.claim >= $1::text || '.' and running.claim < $1::text || '/'
  and length(running.claim) = $2::integer
