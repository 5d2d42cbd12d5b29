select seq, number, ended_at, counted, failure from headrace_history
where seq in (select value from json_each(?)) order by seq, step
