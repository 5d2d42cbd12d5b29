delete from headrace_tag where (tag, seq) in (
  select tag.value, job.seq
  from json_each(?) gone
  join headrace_job job on job.seq = gone.value
  join json_each(job.envelope, '$.tags') tag
)
