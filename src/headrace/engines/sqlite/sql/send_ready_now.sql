insert into headrace_ready (queue, rank, seq)
select queue, -priority, seq from headrace_job job
where seq > ?
  and seq not in (select seq from headrace_scheduled)
  and (
    seq not in (select seq from headrace_ordered)
    or exists (
      select 1 from headrace_ordered member
      join headrace_front front using (queue, order_key)
      where member.seq = job.seq and front.seq = job.seq
    )
  )
