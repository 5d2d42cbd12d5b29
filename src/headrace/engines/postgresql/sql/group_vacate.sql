update headrace.front set seq = null
from headrace.ordered member
where member.seq = any ((select $1::text::bigint[])::bigint[]) and front.queue = any (array[member.queue])
  and front.order_key = member.order_key and front.seq = member.seq
