select job.seq, job.id
from headrace_job job
join headrace_queue queue on queue.id = job.queue
left join headrace_finished finished on finished.seq = job.seq
left join headrace_running running on running.seq = job.seq
left join headrace_scheduled scheduled on scheduled.seq = job.seq and scheduled.run_at > ?1
