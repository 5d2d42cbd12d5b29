insert into headrace_finished (seq, state, attempt, finished_at, kept_until, result, failure, seconds)
select
  ?2 + 1 + key, value ->> 'state', coalesce(value ->> 'attempt', 0), value ->> 'finished_at',
  value ->> 'kept_until', value -> 'result', value -> 'failure', value ->> 'seconds'
from json_each(?1)
where value ->> 'state' in ('succeeded', 'cancelled', 'dead')
