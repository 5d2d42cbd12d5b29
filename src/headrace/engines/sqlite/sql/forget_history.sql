delete from headrace_history where seq in (select value from json_each(?))
