-- Two who reap at the same time part what there is.
select running.seq, running.claim, job.id::text, coalesce(tally.attempts, 0),
  coalesce(tally.lost, 0)
from headrace.running running
join headrace.job job using (seq)
left join headrace.tally tally on tally.seq = any (array[running.seq])
where running.seq = any ((select $1::text::bigint[])::bigint[]) and running.lease_until < $2::float8
order by running.seq
for update of running skip locked
