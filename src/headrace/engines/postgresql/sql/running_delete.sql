delete from headrace.running where seq = any($1::text::bigint[])
