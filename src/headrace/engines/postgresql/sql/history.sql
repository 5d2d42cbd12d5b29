select seq, number, ended_at, counted, failure from headrace.history
where seq = any($1::text::bigint[]) order by seq, step
