with
  came as (
    select queue, sum(jobs)::bigint as jobs, sum(bytes)::bigint as bytes,
      sum(drained)::bigint as drained
    from headrace.flow group by queue
  ),
  scheduled as (
    select job.queue, count(*) as jobs, min(run_at) as next_run_at
    from headrace.scheduled join headrace.job job using (seq)
    where run_at > $1::float8
    group by job.queue
  ),
  running as (
    select job.queue, count(*) as jobs
    from headrace.running join headrace.job job using (seq)
    group by job.queue
  )
select queue.name, queue.depth + coalesce(came.jobs, 0), coalesce(scheduled.jobs, 0),
  coalesce(running.jobs, 0), queue.bytes + coalesce(came.bytes, 0), queue.paused,
  queue.max_depth, queue.max_bytes, queue.drain_rate, queue.drained + coalesce(came.drained, 0),
  queue.drained_from, scheduled.next_run_at
from headrace.queue queue
left join came on came.queue = queue.id
left join scheduled on scheduled.queue = queue.id
left join running on running.queue = queue.id
order by queue.name
