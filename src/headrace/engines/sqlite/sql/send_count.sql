update headrace_queue set depth = depth + sent.jobs, bytes = bytes + sent.size
from (select count(*) as jobs, coalesce(sum(size), 0) as size from headrace_job where seq > ?1) sent
where id = ?2
