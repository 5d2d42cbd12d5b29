insert into headrace_tally (seq, attempts, lost)
select value ->> 0, value ->> 1, value ->> 2 from json_each(?) where true
on conflict (seq) do update set attempts = attempts + excluded.attempts, lost = lost + excluded.lost
