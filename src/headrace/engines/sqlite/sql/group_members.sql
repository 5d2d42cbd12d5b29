select member.seq, member.skip, scheduled.seq is not null,
  case when coalesce(tally.lost, 0) > 0 then -job.queue else job.queue end, -job.priority
from headrace_ordered member
join headrace_job job using (seq)
left join headrace_tally tally using (seq)
left join headrace_scheduled scheduled using (seq)
where member.queue = ?1 and member.order_key = ?2 and member.seq > ?3
order by member.seq
limit 16
