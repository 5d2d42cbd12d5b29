select job.seq, job.id::text,
  case
    when finished.seq is not null then finished.state
    when running.seq is not null then 'running'
    when scheduled.run_at > $2::float8 then 'scheduled'
    else 'ready'
  end
from headrace.job job
left join headrace.finished finished using (seq)
left join headrace.running running using (seq)
left join headrace.scheduled scheduled using (seq)
where job.id = any ((select $1::text::uuid[])::uuid[])
