with
  scheduled as (
    select job.queue, count(*) as jobs, min(run_at) as next_run_at
    from headrace_scheduled cross join headrace_job job using (seq)
    where run_at > ?1
    group by job.queue
  ),
  running as (
    select job.queue, count(*) as jobs
    from headrace_running cross join headrace_job job using (seq)
    group by job.queue
  )
select queue.name, queue.depth, coalesce(scheduled.jobs, 0), coalesce(running.jobs, 0),
  queue.bytes, queue.paused, queue.max_depth, queue.max_bytes,
  queue.drain_rate, queue.drained, queue.drained_from, scheduled.next_run_at
from headrace_queue queue
left join scheduled on scheduled.queue = queue.id
left join running on running.queue = queue.id
order by queue.name
