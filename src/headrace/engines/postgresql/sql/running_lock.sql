select seq from headrace.running where seq = any ((select $1::text::bigint[])::bigint[]) order by seq for update
