update headrace.entry set value = $2::bytea, version = $3::bigint, expires = $4::float8
where key = $1::text
