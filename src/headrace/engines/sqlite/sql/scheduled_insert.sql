insert into headrace_scheduled (seq, run_at)
select value ->> 0, value ->> 1 from json_each(?)
