select job.seq, job.envelope, job.accepted_at,
  case
    when finished.seq is not null then finished.state
    when running.seq is not null then 'running'
    when scheduled.run_at > ?1 then 'scheduled'
    else 'ready'
  end,
  case
    when finished.seq is not null or running.seq is not null or scheduled.run_at > ?1 then ''
    when queue.paused then 'queue-paused'
    when ordered.seq is not null and front.seq is not job.seq then 'order-key'
    else ''
  end,
  coalesce(finished.attempt, tally.attempts, 0) + (running.seq is not null),
  coalesce(tally.lost, 0), iif(scheduled.run_at > ?1, scheduled.run_at, null),
  finished.finished_at, finished.kept_until, cancelling.seq is not null,
  coalesce(running.claim, ''), finished.result, finished.failure,
  job.id, job.task, queue.name, finished.seconds
from headrace_job job
join headrace_queue queue on queue.id = job.queue
left join headrace_finished finished on finished.seq = job.seq
left join headrace_running running on running.seq = job.seq
left join headrace_scheduled scheduled on scheduled.seq = job.seq
left join headrace_tally tally on tally.seq = job.seq
left join headrace_cancelling cancelling on cancelling.seq = job.seq
left join headrace_ordered ordered on ordered.seq = job.seq
left join headrace_front front on front.queue = job.queue and front.order_key = ordered.order_key
