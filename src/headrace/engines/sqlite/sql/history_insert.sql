insert into headrace_history (seq, step, number, ended_at, counted, failure)
select entry.value ->> 0,
  coalesce((select max(step) from headrace_history past where past.seq = entry.value ->> 0), 0) + 1,
  entry.value ->> 1, ?2, entry.value ->> 2, entry.value -> 3
from json_each(?1) entry
