insert into headrace_finished (seq, state, attempt, finished_at, kept_until, failure)
select value ->> 0, value ->> 1, value ->> 2, ?2, ?2 + (value ->> 3), value -> 4
from json_each(?1)
