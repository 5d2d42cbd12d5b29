delete from headrace_running where seq in (select value from json_each(?))
