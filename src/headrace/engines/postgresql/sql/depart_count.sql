insert into headrace.flow (queue, jobs, bytes, drained)
select queue, -count(*), -sum(size), 0
from headrace.job where seq = any ((select $1::text::bigint[])::bigint[]) group by queue
