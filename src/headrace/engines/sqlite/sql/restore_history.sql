insert into headrace_history (seq, step, number, ended_at, counted, failure)
select
  ?2 + 1 + moved.key, past.key + 1, past.value ->> 'number', past.value ->> 'ended_at',
  coalesce(past.value ->> 'counted', 1), past.value -> 'failure'
from json_each(?1) moved join json_each(moved.value, '$.history') past
