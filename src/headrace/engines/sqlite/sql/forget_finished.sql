delete from headrace_finished where seq in (select value from json_each(?))
