-- For each group: the job at its front, and the member whose turn it is: the oldest one, but for those
-- that wait for a moment and let others go first meanwhile. One that waits and holds the others is
-- nobody's turn.
select front.queue, front.order_key, front.seq, turn.seq, turn.queue, turn.rank,
  exists (
    select 1 from headrace.ordered member
    where member.queue = front.queue and member.order_key = front.order_key
  )
from json_to_recordset($1::text::json) as wanted (q integer, k text)
join headrace.front front
  on front.queue = any (array[wanted.q]) and front.order_key = wanted.k
left join lateral (
  select oldest.* from (
    select
      case when coalesce(tally.lost, 0) > 0 then -job.queue else job.queue end as queue,
      -job.priority as rank, member.seq, scheduled.seq is not null as waits
    from headrace.ordered member
    join headrace.job job using (seq)
    left join headrace.tally tally on tally.seq = any (array[member.seq])
    left join headrace.scheduled scheduled on scheduled.seq = any (array[member.seq])
    where member.queue = front.queue and member.order_key = front.order_key
      and not (member.skip and scheduled.seq is not null)
    order by member.seq
    limit 1
  ) oldest
  where not oldest.waits
) turn on true
