select seq, retention from headrace.job
where seq = any ((select $1::text::bigint[])::bigint[]) and retention is not null
