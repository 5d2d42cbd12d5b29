insert into headrace_ready (queue, rank, seq)
select case when coalesce(tally.lost, 0) > 0 then -job.queue else job.queue end,
  -job.priority, job.seq
from json_each(?) chosen
join headrace_job job on job.seq = chosen.value
left join headrace_tally tally on tally.seq = job.seq
where job.seq not in (select seq from headrace_ordered)
