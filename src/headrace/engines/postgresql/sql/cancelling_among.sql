select seq, reason from headrace.cancelling where seq = any($1::text::bigint[])
