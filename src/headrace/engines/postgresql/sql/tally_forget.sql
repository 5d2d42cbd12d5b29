delete from headrace.tally where seq = any($1::text::bigint[])
