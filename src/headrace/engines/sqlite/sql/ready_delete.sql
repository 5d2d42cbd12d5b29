delete from headrace_ready where (queue, rank, seq) in (
  select side.value * job.queue, -job.priority, job.seq
  from json_each(?) gone
  join headrace_job job on job.seq = gone.value
  join json_each('[1,-1]') side
)
