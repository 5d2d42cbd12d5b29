update headrace_queue set depth = depth + fresh.jobs, bytes = bytes + fresh.size
from (
  select queue, count(*) as jobs, sum(size) as size from headrace_job job
  where seq > ? and not exists (select 1 from headrace_finished where headrace_finished.seq = job.seq)
  group by queue
) fresh
where id = fresh.queue
