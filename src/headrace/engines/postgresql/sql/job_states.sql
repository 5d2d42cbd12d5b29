select job.seq, job.id::text,
  case
    when finished.seq is not null then finished.state
    when running.seq is not null then 'running'
    when scheduled.run_at > $2::float8 then 'scheduled'
    else 'ready'
  end
from headrace.job job
left join headrace.finished finished on finished.seq = any (array[job.seq])
left join headrace.running running on running.seq = any (array[job.seq])
left join headrace.scheduled scheduled on scheduled.seq = any (array[job.seq])
where job.id = any ((select $1::text::uuid[])::uuid[])
