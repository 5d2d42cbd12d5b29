update headrace_job set envelope = json_set(json_remove(envelope, '$.delay'), '$.run_at', ?2)
where seq in (select value from json_each(?1))
