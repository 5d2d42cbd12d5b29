select seq, retention from headrace.job
where seq = any($1::text::bigint[]) and retention is not null
