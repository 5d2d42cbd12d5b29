delete from headrace_unique where seq in (select value from json_each(?))
