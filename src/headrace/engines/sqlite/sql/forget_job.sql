delete from headrace_job where seq in (select value from json_each(?))
