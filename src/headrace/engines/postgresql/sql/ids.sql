select job.seq, job.id::text
from headrace.job job
join headrace.queue queue on queue.id = job.queue
left join headrace.finished finished on finished.seq = job.seq
left join headrace.running running on running.seq = job.seq
left join headrace.scheduled scheduled
  on scheduled.seq = job.seq and scheduled.run_at > $1::float8
