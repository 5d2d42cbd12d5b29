update headrace.queue set max_depth = $2::bigint, max_bytes = $3::bigint where name = $1::text
