select held.unique_key, held.id::text, job.seq, running.seq is not null
from headrace.unique_key held
join headrace.job job on job.id = held.id
left join headrace.running running on running.seq = job.seq
where held.unique_key in (select json_array_elements_text($1::text::json))
