select seq, queue, envelope from headrace.job where seq = any($1::text::bigint[])
