select seq from headrace_expiry
where seq in (select value from json_each(?)) and expires <= ?
