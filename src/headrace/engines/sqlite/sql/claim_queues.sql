select queue.name, queue.id,
  exists (select 1 from headrace_ready where headrace_ready.queue = queue.id),
  exists (select 1 from headrace_ready where headrace_ready.queue = -queue.id),
  exists (select 1 from headrace_scheduled where run_at <= ?2) or exists (
    select 1 from headrace_expiry
    where expires <= ?2 and seq not in (select seq from headrace_running)
  )
from json_each(?1) wanted join headrace_queue queue on queue.name = wanted.value
where not queue.paused
