insert into headrace_unique (seq, unique_key)
select job.seq, wanted.value ->> 1
from json_each(?) wanted join headrace_job job on job.id = wanted.value ->> 0
