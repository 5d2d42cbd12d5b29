insert into headrace_finished (seq, state, attempt, finished_at, kept_until, result)
select value ->> 0, 'succeeded', value ->> 1, ?2, ?2 + (value ->> 2), value -> 3
from json_each(?1)
