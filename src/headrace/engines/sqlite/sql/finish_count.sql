update headrace_queue set
  depth = depth - ended.jobs,
  bytes = bytes - ended.size,
  drain_rate = iif(?2 - drained_from > 5, drained / (?2 - drained_from), drain_rate),
  -- A clock that was set back begins a new window, too.
  drained = iif(?2 - drained_from between 0 and 5, drained, 0) + ended.jobs,
  drained_from = iif(?2 - drained_from between 0 and 5, drained_from, ?2)
from (
  select job.queue, count(*) as jobs, sum(job.size) as size
  from json_each(?1) gone join headrace_job job on job.seq = gone.value
  group by job.queue
) ended
where id = ended.queue
