select seq from headrace.expiry where seq = any ((select $1::text::bigint[])::bigint[])
