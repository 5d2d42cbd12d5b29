insert into headrace.flow (queue, jobs, bytes, drained)
select queue, -count(*), -sum(size), 0
from headrace.job where seq = any($1::text::bigint[]) group by queue
