update headrace_job set priority = ?2, envelope = json_set(envelope, '$.priority', ?2)
where seq in (select value from json_each(?1))
