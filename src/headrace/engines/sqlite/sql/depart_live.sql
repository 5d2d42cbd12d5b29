-- The oldest that wait in paused queues, but for those of whose order key one runs. All that live are
-- in the narrow tables, so the oldest of them tells where to begin.
select json_group_array(seq) from (
  select seq, sum(weight) over (order by seq) as weight, min(seq) over () as first from (
    select job.seq, job.size + coalesce((
      select sum(octet_length(failure)) from headrace_history past where past.seq = job.seq
    ), 0) as weight
    from headrace_job job
    join headrace_queue queue on queue.id = job.queue and queue.paused
    where job.seq >= (
        select min(seq) from (
          select min(seq) as seq from headrace_ready
          union all select min(seq) from headrace_scheduled
          union all select min(seq) from headrace_ordered
        )
      )
      and not exists (select 1 from headrace_finished finished where finished.seq = job.seq)
      and not exists (select 1 from headrace_running running where running.seq = job.seq)
      and not exists (
        select 1 from headrace_ordered mine
        where mine.seq = job.seq and (mine.queue, mine.order_key) in (
          select other.queue, other.order_key
          from headrace_running cross join headrace_ordered other using (seq)
        )
      )
    order by job.seq limit ?1
  )
) where weight <= ?2 or seq = first
