-- Waits for a rival that claims one of them, and then does not find it.
delete from headrace.ready
using headrace.job job
where job.seq = any ((select $1::text::bigint[])::bigint[]) and ready.seq = job.seq
  and ready.queue in (job.queue, -job.queue) and ready.rank = -job.priority
returning ready.seq
