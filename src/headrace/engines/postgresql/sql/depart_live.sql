-- The oldest that wait in paused queues, but for those of whose order key one runs. All that live are
-- in the narrow tables, so the oldest of them tells where to begin. `$1` is how many, `$2` what they
-- may weigh.
select seq from (
  select seq, sum(weight) over (order by seq) as weight, min(seq) over () as first from (
    select job.seq, job.size + coalesce((
      select sum(octet_length(failure)) from headrace.history past where past.seq = job.seq
    ), 0) as weight
    from headrace.job job
    join headrace.queue queue on queue.id = job.queue and queue.paused
    left join headrace.ordered mine on mine.seq = job.seq
    where job.seq >= (
        select min(seq) from (
          select min(seq) as seq from headrace.ready
          union all select min(seq) from headrace.scheduled
          union all select min(seq) from headrace.ordered
        ) oldest
      )
      and not exists (select 1 from headrace.finished where finished.seq = job.seq)
      and not exists (select 1 from headrace.running where running.seq = job.seq)
      and not exists (
        select 1 from headrace.ordered other
        join headrace.running on running.seq = other.seq
        where other.queue = mine.queue and other.order_key = mine.order_key
      )
    order by job.seq limit $1::bigint
  ) oldest
) weighed
where weight <= $2::bigint or seq = first
order by seq
