delete from headrace_tally where seq in (select value from json_each(?))
