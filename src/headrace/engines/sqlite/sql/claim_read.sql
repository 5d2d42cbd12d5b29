select '[' || group_concat(
  '[' || job.seq || ',' || coalesce(tally.attempts, 0) || ',' || coalesce(tally.lost, 0)
  || ',' || job.envelope || ']'
) || ']'
from json_each(?) taken
cross join headrace_job job on job.seq = taken.value
left join headrace_tally tally on tally.seq = job.seq
