-- The member whose turn it is: the oldest one, but for those that wait for a moment and let others go
-- first meanwhile. One that waits and holds the others is nobody's turn.
select queue, rank, seq from (
  select
    case when coalesce(tally.lost, 0) > 0 then -job.queue else job.queue end as queue,
    -job.priority as rank, member.seq, scheduled.seq is not null as waits
  from headrace_ordered member
  join headrace_job job using (seq)
  left join headrace_tally tally using (seq)
  left join headrace_scheduled scheduled using (seq)
  where member.queue = ?1 and member.order_key = ?2 and not (member.skip and scheduled.seq is not null)
  order by member.seq
  limit 1
) where not waits
