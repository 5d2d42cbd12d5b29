select seq from headrace.expiry where seq = any($1::text::bigint[])
