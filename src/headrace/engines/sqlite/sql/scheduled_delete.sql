delete from headrace_scheduled where seq in (select value from json_each(?))
