update headrace_queue set depth = depth + 1, bytes = bytes + job.size
from (select queue, size from headrace_job where seq = ?) job
where id = job.queue
