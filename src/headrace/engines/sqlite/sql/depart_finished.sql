select json_group_array(seq) from (
  select seq, sum(weight) over (order by seq) as weight, min(seq) over () as first from (
    select job.seq, job.size + coalesce(octet_length(finished.result), 0) + coalesce((
      select sum(octet_length(failure)) from headrace_history past where past.seq = job.seq
    ), 0) as weight
    from headrace_finished finished
    join headrace_job job using (seq)
    join headrace_queue queue on queue.id = job.queue and queue.paused
    order by finished.seq limit ?1
  )
) where weight <= ?2 or seq = first
