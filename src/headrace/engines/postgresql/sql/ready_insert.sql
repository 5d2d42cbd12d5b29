insert into headrace.ready (queue, rank, seq)
select case when coalesce(tally.lost, 0) > 0 then -job.queue else job.queue end,
  -job.priority, job.seq
from headrace.job job
left join headrace.tally tally on tally.seq = any (array[job.seq])
where job.seq = any ((select $1::text::bigint[])::bigint[])
  and not exists (select 1 from headrace.ordered where ordered.seq = any (array[job.seq]))
