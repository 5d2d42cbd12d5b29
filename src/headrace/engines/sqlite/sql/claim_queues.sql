select queue.name, queue.id,
  exists (select 1 from headrace_ready where headrace_ready.queue = queue.id),
  exists (select 1 from headrace_ready where headrace_ready.queue = -queue.id)
from json_each(?) wanted join headrace_queue queue on queue.name = wanted.value
where not queue.paused
