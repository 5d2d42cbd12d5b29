select seq, queue, envelope from headrace.job where seq = any ((select $1::text::bigint[])::bigint[])
