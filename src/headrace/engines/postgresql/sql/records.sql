select job.seq, job.envelope, job.accepted_at,
  case
    when finished.seq is not null then finished.state
    when running.seq is not null then 'running'
    when scheduled.run_at > $1::float8 then 'scheduled'
    else 'ready'
  end,
  case
    when finished.seq is not null or running.seq is not null or scheduled.run_at > $1::float8
      then ''
    when queue.paused then 'queue-paused'
    when ordered.seq is not null and front.seq is distinct from job.seq then 'order-key'
    else ''
  end,
  coalesce(finished.attempt, tally.attempts, 0)
    + case when running.seq is null then 0 else 1 end,
  coalesce(tally.lost, 0),
  case when scheduled.run_at > $1::float8 then scheduled.run_at end,
  finished.finished_at, finished.kept_until,
  running.seq is not null and cancelling.seq is not null,
  coalesce(running.claim, ''), finished.result, finished.failure,
  job.id::text, job.task, queue.name, finished.seconds
from headrace.job job
join headrace.queue queue on queue.id = job.queue
left join headrace.finished finished on finished.seq = job.seq
left join headrace.running running on running.seq = job.seq
left join headrace.scheduled scheduled on scheduled.seq = job.seq
left join headrace.tally tally on tally.seq = job.seq
left join headrace.cancelling cancelling on cancelling.seq = job.seq
left join headrace.ordered ordered on ordered.seq = job.seq
left join headrace.front front on front.queue = job.queue and front.order_key = ordered.order_key
