-- The oldest finished jobs of paused queues. A rival that redrives or deletes one is awaited, and then
-- it is not found.
with oldest as materialized (
  select finished.seq, octet_length(finished.result) as result_size
  from headrace.finished finished
  join headrace.job job on job.seq = finished.seq
  join headrace.queue queue on queue.id = job.queue and queue.paused
  order by finished.seq limit $1::bigint
  for update of finished
),
weighed as (
  select seq, sum(weight) over (order by seq) as weight, min(seq) over () as first from (
    select oldest.seq, job.size + coalesce(oldest.result_size, 0) + coalesce((
      select sum(octet_length(failure)) from headrace.history past where past.seq = oldest.seq
    ), 0) as weight
    from oldest join headrace.job job on job.seq = oldest.seq
  ) weights
)
select seq from weighed where weight <= $2::bigint or seq = first order by seq
