-- What only few jobs have is asked for by subqueries: with a join for each table the planner took
-- ten times as long to choose among orders as the statement takes.
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
    when exists (
      select 1 from headrace.ordered
      left join headrace.front on front.queue = ordered.queue
        and front.order_key = ordered.order_key
      where ordered.seq = job.seq and front.seq is distinct from job.seq
    ) then 'order-key'
    else ''
  end,
  coalesce(
    finished.attempt, (select attempts from headrace.tally where tally.seq = job.seq), 0
  ) + case when running.seq is null then 0 else 1 end,
  coalesce((select lost from headrace.tally where tally.seq = job.seq), 0),
  case when scheduled.run_at > $1::float8 then scheduled.run_at end,
  finished.finished_at, finished.kept_until,
  running.seq is not null
    and exists (select 1 from headrace.cancelling where cancelling.seq = job.seq),
  coalesce(running.claim, ''), finished.result, finished.failure,
  job.id::text, job.task, queue.name, finished.seconds
from headrace.job job
join headrace.queue queue on queue.id = job.queue
left join headrace.finished finished on finished.seq = job.seq
left join headrace.running running on running.seq = job.seq
left join headrace.scheduled scheduled on scheduled.seq = job.seq
