insert into headrace_job (id, queue, priority, task, accepted_at, size, envelope)
select
  moved.value ->> '$.message.id',
  queue.id,
  coalesce(moved.value ->> '$.message.priority', 0),
  moved.value ->> '$.message.task',
  moved.value ->> 'accepted_at',
  octet_length(moved.value -> 'message'),
  moved.value -> 'message'
from json_each(?1) moved
join headrace_queue queue on queue.name = coalesce(moved.value ->> '$.message.queue', 'default')
order by moved.key
