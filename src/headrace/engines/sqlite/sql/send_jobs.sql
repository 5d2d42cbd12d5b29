insert into headrace_job (id, queue, priority, task, accepted_at, size, envelope)
select
  iif(?5, cast(substr(?4, (rowid - 1) * ?5 + 1, ?5) as text), value ->> 'id'),
  ?2,
  iif(?7, coalesce(value ->> 'priority', 0), 0),
  coalesce(?6, value ->> 'task'),
  ?3,
  octet_length(value),
  value
from carray(?1)
