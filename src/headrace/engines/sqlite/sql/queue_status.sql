select queue.name, queue.depth,
  (select count(*) from headrace_scheduled join headrace_job using (seq)
    where headrace_job.queue = queue.id and run_at > ?1),
  (select count(*) from headrace_running join headrace_job using (seq) where headrace_job.queue = queue.id),
  queue.bytes, queue.paused, queue.max_depth, queue.max_bytes, queue.drain_rate, queue.drained, queue.drained_from,
  (select min(run_at) from headrace_scheduled join headrace_job using (seq)
    where headrace_job.queue = queue.id and run_at > ?1)
from headrace_queue queue
order by queue.name
