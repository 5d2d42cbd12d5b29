insert into headrace_running (seq, token, claim, lease_until)
select value, ?2, ?3, ?4 from json_each(?1)
