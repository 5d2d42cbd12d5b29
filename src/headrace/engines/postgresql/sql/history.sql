select seq, number, ended_at, counted, failure from headrace.history
where seq = any ((select $1::text::bigint[])::bigint[]) order by seq, step
