select id::text from headrace.job where id = any ((select $1::text::uuid[])::uuid[]) and seq < $2::bigint limit 1
