select running.seq, running.claim, job.id, coalesce(tally.attempts, 0), coalesce(tally.lost, 0)
from headrace_running running
join headrace_job job using (seq)
left join headrace_tally tally using (seq)
where running.claim >= ?1 || '.' and running.claim < ?1 || '/'
  and length(running.claim) = ?2
