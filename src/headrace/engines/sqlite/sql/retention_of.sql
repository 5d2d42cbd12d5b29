select seq, envelope -> 'retention' from headrace_job
where seq in (select value from json_each(?)) and envelope -> 'retention' is not null
