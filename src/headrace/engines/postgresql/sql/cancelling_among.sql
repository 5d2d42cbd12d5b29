select seq, reason from headrace.cancelling where seq = any ((select $1::text::bigint[])::bigint[])
