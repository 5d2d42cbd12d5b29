select id::text from headrace.job where id = any($1::text::uuid[]) and seq < $2::bigint limit 1
