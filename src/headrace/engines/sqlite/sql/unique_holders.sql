select held.unique_key, job.id, running.seq is not null
from headrace_unique held
join headrace_job job using (seq)
left join headrace_running running using (seq)
where held.unique_key in (select value from json_each(?))
