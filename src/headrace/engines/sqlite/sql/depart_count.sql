update headrace_queue set depth = depth - ended.jobs, bytes = bytes - ended.size
from (
  select job.queue, count(*) as jobs, sum(job.size) as size
  from json_each(?1) gone join headrace_job job on job.seq = gone.value
  where not exists (select 1 from headrace_finished finished where finished.seq = job.seq)
  group by job.queue
) ended
where id = ended.queue
