select held.unique_key, held.id::text, job.seq, running.seq is not null
from headrace.unique_key held
join headrace.job job on job.id = any (array[held.id])
left join headrace.running running on running.seq = any (array[job.seq])
where held.unique_key = any (array(select json_array_elements_text($1::text::json)))
