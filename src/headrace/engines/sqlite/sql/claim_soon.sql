select exists (
  select 1 from json_each(?) wanted
  join headrace_queue queue on queue.name = wanted.value
  where not queue.paused and (
    exists (select 1 from headrace_ready where headrace_ready.queue = queue.id)
    or exists (select 1 from headrace_ready where headrace_ready.queue = -queue.id)
  )
), (select min(run_at) from headrace_scheduled)
