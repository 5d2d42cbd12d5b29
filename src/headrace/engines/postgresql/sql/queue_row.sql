select queue.id, queue.depth + coalesce(sum(flow.jobs), 0)::bigint,
  queue.bytes + coalesce(sum(flow.bytes), 0)::bigint, queue.max_depth, queue.max_bytes,
  queue.drain_rate, queue.drained + coalesce(sum(flow.drained), 0)::bigint, queue.drained_from
from headrace.queue queue left join headrace.flow flow on flow.queue = queue.id
where queue.name = $1::text
group by queue.id
