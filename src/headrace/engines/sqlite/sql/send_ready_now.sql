insert into headrace_ready (queue, rank, seq)
select queue, -priority, seq from headrace_job job
where seq > ?
  and seq not in (select seq from headrace_scheduled)
  and (
    seq not in (select seq from headrace_ordered)
    or exists (
      select 1 from headrace_ordered member join headrace_front front
        on front.queue = member.queue and front.order_key = member.order_key
      where member.seq = job.seq and front.seq = job.seq
    )
  )
