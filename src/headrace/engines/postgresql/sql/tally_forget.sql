delete from headrace.tally where seq = any ((select $1::text::bigint[])::bigint[])
