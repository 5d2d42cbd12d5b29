select running.seq, running.claim, job.id::text, coalesce(tally.attempts, 0),
  coalesce(tally.lost, 0)
from headrace.running running
join headrace.job job using (seq)
left join headrace.tally tally on tally.seq = any (array[running.seq])
where running.seq = any ((select $1::text::bigint[])::bigint[])
  and running.claim >= $2::text || '.' and running.claim < $2::text || '/'
  and length(running.claim) = $3::integer
order by running.seq
for update of running
