select running.seq, member.queue, member.order_key
from headrace.running running
left join headrace.ordered member on member.seq = any (array[running.seq])
where running.lease_until < $1::float8
limit 1000
