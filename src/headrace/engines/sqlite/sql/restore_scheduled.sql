insert into headrace_scheduled (seq, run_at)
select ?2 + 1 + key, value ->> 'run_at' from json_each(?1)
where value ->> 'state' = 'scheduled' and value ->> 'run_at' > ?3
