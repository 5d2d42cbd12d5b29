insert into headrace_job (id, queue, priority, task, accepted_at, size, envelope)
select value ->> 'id', ?2, iif(?4, coalesce(value ->> 'priority', 0), 0), value ->> 'task', ?3,
  octet_length(value), value
from json_each(?1)
where true -- tells the parser that "on conflict" is not part of a join
on conflict (id) do nothing
