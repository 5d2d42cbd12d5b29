select id from headrace_job
where id in (select value ->> 'id' from json_each(?)) and seq <= ? limit 1
