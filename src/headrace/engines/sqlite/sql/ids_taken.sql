select id from headrace_job where id in (select value from json_each(?)) limit 1
