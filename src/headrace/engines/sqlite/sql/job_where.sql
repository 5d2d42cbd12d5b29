select job.seq, job.id,
  case
    when finished.seq is not null then finished.state
    when running.seq is not null then 'running'
    when scheduled.run_at > ?2 then 'scheduled'
    else 'ready'
  end
from json_each(?1) wanted
join headrace_job job on job.id = wanted.value
left join headrace_finished finished on finished.seq = job.seq
left join headrace_running running on running.seq = job.seq
left join headrace_scheduled scheduled on scheduled.seq = job.seq
