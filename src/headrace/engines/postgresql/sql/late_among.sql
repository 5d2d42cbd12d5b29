select seq from headrace.expiry where seq = any ((select $1::text::bigint[])::bigint[]) and expires <= $2::float8
