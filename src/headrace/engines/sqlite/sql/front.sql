select front.seq, running.seq is not null
from headrace_front front left join headrace_running running using (seq)
where front.queue = ? and front.order_key = ?
