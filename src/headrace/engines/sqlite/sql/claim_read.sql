select '[' || group_concat(
  '[' || job.envelope || ?2 || (1 + coalesce(tally.attempts, 0)) || ','
  || coalesce(tally.lost, 0) || ',' || job.seq || ']'
) || ']'
from json_each(?1) taken
cross join headrace_job job on job.seq = taken.value
left join headrace_tally tally on tally.seq = job.seq
