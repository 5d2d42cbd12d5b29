insert into headrace_finished (seq, state, attempt, finished_at, kept_until, result)
select value ->> 0, 'succeeded', value ->> 3, ?2, ?2 + (value ->> 4), value -> 5
from json_each(?1)
